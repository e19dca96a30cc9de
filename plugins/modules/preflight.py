#!/usr/bin/python
# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of action groundwork.supabase.preflight, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Report everything that is wrong with an inventory before a host is touched
version_added: 0.1.0
description:
  - Looks at the values that an inventory gives and fails with all faults at once, each with the object, the cause and
    the remedy. Values of secrets never appear.
  - It runs on the controller. The host needs neither a connection nor Python, and nothing is changed.
  - Looked for are services that are unknown, miss one they depend on or exclude one another, entries that Compose would
    not understand, malformed, floating or undigested images, servers and registries that are examples, domains and
    addresses that are missing, malformed or examples, host ports that are taken twice or public, and weak, equal,
    published or unfit secrets.
  - An Auth where who signs up could never sign in, since addresses have to be confirmed and no mail can be sent, is
    refused.
  - The variables of role C(database) are read as the modules read them that get them, each fault with its variable and
    position. What needs a database to be judged, such as whether a table exists, is not looked at.
  - Variables of the other roles, of every server in O(hosts), are held against the roles' argument specifications; one
    that is close to an option and is none was meant to be it. What the inventory says in several places of the
    platform's own database has to agree.
  - Controls of the gateway are refused where Kong is chosen and cannot exercise them.
  - What Supabase published as an example is refused as the value of a secret and wherever a service or an app has it
    in place of a secret's name.
  - A transaction pooler's port is refused for role C(database).
  - An app with C(public=true) is a front end, whose code everybody can read. It may know C(anon_key) and
    C(publishable_key). Every other secret is refused, and so are names and values of secret keys.
extends_documentation_fragment:
  - groundwork.supabase.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: Nothing is changed.
  idempotent:
    support: full
options:
  services:
    description: Names of the services that are to run.
    type: list
    elements: str
    required: true
  catalog:
    description: All services that there are, by name, in the Compose file's syntax plus C(files).
    type: dict
    required: true
  overrides:
    description: Changes to entries of the catalog, by name, or whole entries of further services that are chosen.
    type: dict
    default: {}
  apps:
    description: Services of applications, by name, in the same syntax plus the keys in O(app_keys).
    type: dict
    default: {}
  app_keys:
    description: Keys that an app may have beyond those of Compose.
    type: list
    elements: str
    default: [domain, port, public, metrics, traffic]
  images:
    description: References of images, by the name of the service that gets another image than the catalog has.
    type: dict
    default: {}
  other_images:
    description: References of images that no service of O(catalog) or O(apps) names, by the variable that does.
    type: dict
    default: {}
  require_digests:
    description: Whether every image has to be named by its digest.
    type: bool
    default: false
  hosts:
    description:
      - Addresses of the servers, by their names in the inventory. One without an address is reached by its name.
      - Addresses of RFC 5737, RFC 3849 and RFC 9637 and domains of RFC 2606 are refused, here and as registries of
        images.
    type: dict
    default: {}
  domains:
    description: Domains, by what they are for.
    type: dict
    default: {}
  email:
    description: Address that a certificate authority warns. Required with O(tls=acme).
    type: str
    default: ""
  tls:
    description: Where certificates come from.
    type: str
    choices: [internal, acme, files]
    default: internal
  environment:
    description: Kind of the environment. Domains and addresses of RFC 2606 are refused in V(staging) and V(prod).
    type: str
    choices: [lab, dev, staging, prod]
    required: true
  edge:
    description: Names of services and apps that may publish ports on public addresses.
    type: list
    elements: str
    default: [caddy]
  reserved_ports:
    description: TCP ports of the host that something else listens on, and what it is.
    type: dict
    default: {}
  secrets:
    description:
      - Values of secrets that the inventory gives, by name.
      - A value has 16 characters or more, C(jwt_secret) and C(pg_meta_crypto_key) 32 or more, C(secret_key_base) 64
        or more, C(vault_enc_key) exactly 32, C(realtime_db_enc_key) exactly 16.
      - C(anon_key) and C(service_role_key) have to be signed by C(jwt_secret), with issuer C(supabase), their role and
        a time of expiry in the future.
    type: dict
    default: {}
  opaque_secrets:
    description: Names of secrets that a provider made, for which 8 characters are enough.
    type: list
    elements: str
    default: []
  known_secrets:
    description:
      - Names of the secrets that the host makes. A C(${secret:NAME}) that is neither here nor in O(secrets) is a fault.
      - Not looked at by default.
    type: list
    elements: str
  database:
    description:
      - Variables of role C(database) that the inventory sets, by name, such as C(database_tables), and
        C(monitoring_sql_metrics).
      - Files in C(database_migrations) and C(database_seeds) have to be on the controller. Names in C(secret) are
        looked for in O(known_secrets) and O(secrets).
    type: dict
    default: {}
  gateway:
    description:
      - Controls of the gateway, by the names of role C(stack)'s variables without C(stack_gateway_).
      - C(limits) are the C(rate_limits) that each route has of its own, by the route's name; C(known) the paths of
        Supabase's routes, by name.
      - Where C(kong) is among O(services), what it cannot do is a fault. Envoy can do all.
    type: dict
    default: {}
  edge_variables:
    description:
      - Variables of role C(caddy) that the inventory sets, by name, such as C(caddy_tls), and C(supabase_sites).
      - Their secrets are looked for in O(known_secrets) and O(secrets).
    type: dict
    default: {}
  firewall:
    description:
      - What role C(hardening) is to let in, as C(rules) in the syntax of C(hardening_firewall_rules). Empty where it
        makes no firewall.
    type: dict
    default: {}
  project:
    description:
      - Reference of a project that Supabase hosts, for an inventory without a stack of its own. No gateway has to be
        chosen then, and of O(services) only C(redis) may be.
      - Refused are API keys of another kind or project, and in an app another project's address, a URL of the project's
        database that does not verify its certificate, one of the shared pooler without the project in the user's
        name, and a host that has IPv6 addresses only, as far as the controller can resolve it.
      - Of O(database) it is looked at how role C(database) reaches the project.
    type: str
    default: ""
seealso:
  - module: groundwork.supabase.secret
  - module: groundwork.supabase.release
author:
  - Groundwork contributors (@groundwork)
"""

EXAMPLES = r"""
- name: Check the inventory
  groundwork.supabase.preflight:
    services: [db, pgbouncer, auth, rest, envoy]
    catalog: "{{ stack_catalog }}"
    apps:
      web:
        image: registry.example.com/web:1.4.2
        public: true
        environment:
          SUPABASE_KEY: ${secret:anon_key}
    images: "{{ stack_images }}"
    other_images:
      caddy_image: "{{ caddy_image }}"
    require_digests: true
    hosts:
      node1: "{{ hostvars.node1.ansible_host }}"
    domains:
      api: "{{ supabase_api_domain }}"
      studio: "{{ supabase_studio_domain }}"
    email: "{{ supabase_email }}"
    tls: acme
    environment: "{{ supabase_environment }}"
    reserved_ports: {22: sshd, 80: caddy, 443: caddy}
    secrets: "{{ supabase_given_secrets }}"
    known_secrets: [postgres_password, jwt_secret, anon_key, service_role_key]
    database:
      database_schemas: "{{ database_schemas }}"
      database_tables: "{{ database_tables }}"
"""

RETURN = r"""
ansible_facts:
  description: C(supabase_deployment), which stands for this run, and C(supabase_commit), the commit of the checkout.
  returned: always
  type: dict
faults:
  description: One line for each fault.
  returned: always
  type: list
  elements: str
  sample: ["service rset: there is no such service; did you mean rest?"]
msg:
  description: All faults, numbered.
  returned: failure
  type: str
"""
