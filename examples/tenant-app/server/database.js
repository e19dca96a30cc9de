import pg from "pg";

/**
 * Connections of the role tenant_app through the transaction pooler: every query is one statement without session state,
 * and statement names are not used.
 */
export function createDatabase({ url, max, log }) {
  const pool = new pg.Pool({
    connectionString: url,
    max,
    connectionTimeoutMillis: 3000,
    query_timeout: 6000,
    idleTimeoutMillis: 30000,
    application_name: "tenant-app",
  });
  pool.on("error", (error) => log.warn("idle database connection lost", { code: error.code ?? error.name }));
  return {
    async ping() {
      await pool.query("select 1");
    },
    /**
     * @param {string} signedAt seconds since 1970
     * @returns {Promise<"processed" | "duplicate" | "replay" | "unmatched">}
     */
    async recordPaymentEvent(event, signedAt) {
      const { rows } = await pool.query(
        `select private.record_payment_event(
          $1::text, $2::uuid, $3::text, $4::text, $5::bigint, $6::text, to_timestamp($7::bigint)
        ) as outcome`,
        [event.eventId, event.tenantId, event.reference, event.status, event.amountMinor, event.currency, signedAt],
      );
      return rows[0].outcome;
    },
    /** @returns {Promise<Map<string, string>>} topic to version; a topic that never changed is absent */
    async readVersions(topics) {
      const { rows } = await pool.query("select topic, version from private.changes($1::uuid[])", [topics]);
      return new Map(rows.map((row) => [row.topic, row.version]));
    },
    async close() {
      await pool.end();
    },
  };
}
