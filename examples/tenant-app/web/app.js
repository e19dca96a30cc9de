import { createClient } from "@supabase/supabase-js";
import { LiveConnection } from "./live.js";

const element = (id) => document.getElementById(id);
const state = { session: null, tenants: [], tenantId: null, todos: new Map() };

function say(text, kind = "info") {
  const box = element("message");
  box.dataset.kind = kind;
  box.textContent = text;
}

/** Runs one action of the user: the form is busy meanwhile, and a failure is told in words. */
async function act(form, action) {
  const buttons = form.querySelectorAll("button");
  for (const button of buttons) button.disabled = true;
  say("");
  try {
    await action();
  } catch (error) {
    say(error.message || "That did not work. Please try again.", "error");
  } finally {
    for (const button of buttons) button.disabled = false;
  }
}

/** Result of a supabase-js call; its error becomes an exception. */
function unwrap({ data, error }) {
  if (error) throw error;
  return data;
}

function todosOf(tenantId) {
  if (!state.todos.has(tenantId)) state.todos.set(tenantId, new Map());
  return state.todos.get(tenantId);
}

function todoItem(supabase, todo) {
  const item = document.createElement("li");
  const label = document.createElement("label");
  const box = document.createElement("input");
  const title = document.createElement("span");
  const remove = document.createElement("button");
  item.className = todo.done ? "done" : "";
  box.type = "checkbox";
  box.checked = todo.done;
  box.dataset.key = `box-${todo.id}`;
  remove.dataset.key = `remove-${todo.id}`;
  title.textContent = todo.title;
  remove.type = "button";
  remove.className = "quiet";
  remove.textContent = "Delete";
  remove.setAttribute("aria-label", `Delete ${todo.title}`);
  box.addEventListener("change", () =>
    act(item, async () => {
      unwrap(await supabase.from("todos").update({ done: box.checked }).eq("id", todo.id));
      showTodo(supabase, { ...todo, done: box.checked });
    }),
  );
  remove.addEventListener("click", () =>
    act(item, async () => {
      unwrap(await supabase.from("todos").delete().eq("id", todo.id));
      todosOf(todo.tenant_id).delete(todo.id);
      renderTodos(supabase);
    }),
  );
  label.append(box, title);
  item.append(label, remove);
  return item;
}

function renderTodos(supabase) {
  const todos = [...todosOf(state.tenantId).values()];
  todos.sort((a, b) => b.created_at.localeCompare(a.created_at));
  const focused = document.activeElement?.dataset?.key;
  element("todos").replaceChildren(...todos.map((todo) => todoItem(supabase, todo)));
  // The list is made anew; who works with the keyboard should stay where they were.
  if (focused) element("todos").querySelector(`[data-key="${focused}"]`)?.focus();
  element("empty").hidden = todos.length > 0;
}

function showTodo(supabase, todo) {
  todosOf(todo.tenant_id).set(todo.id, todo);
  if (todo.tenant_id === state.tenantId) renderTodos(supabase);
}

async function loadTodos(supabase) {
  const rows = unwrap(
    await supabase
      .from("todos")
      .select("id,tenant_id,title,done,created_at,updated_at")
      .eq("tenant_id", state.tenantId)
      .order("created_at", { ascending: false })
      .limit(200),
  );
  state.todos.set(state.tenantId, new Map(rows.map((todo) => [todo.id, todo])));
  renderTodos(supabase);
}

async function chooseTenant(supabase, tenantId) {
  state.tenantId = tenantId;
  const tenant = state.tenants.find((candidate) => candidate.id === tenantId);
  element("todo-panel").hidden = tenant === undefined;
  if (tenant === undefined) return;
  element("tenant").value = tenantId;
  element("todos-title").textContent = `To do at ${tenant.name}`;
  await loadTodos(supabase);
}

async function loadTenants(supabase, wanted = state.tenantId) {
  state.tenants = unwrap(await supabase.from("tenants").select("id,name").order("name"));
  const options = state.tenants.map((tenant) => new Option(tenant.name, tenant.id));
  element("tenant").replaceChildren(...options);
  element("tenant-choice").hidden = options.length === 0;
  const known = state.tenants.some((tenant) => tenant.id === wanted);
  await chooseTenant(supabase, known ? wanted : (state.tenants[0]?.id ?? null));
}

function handleLive(supabase, message) {
  if (message.type === "snapshot") {
    state.todos.set(message.tenant_id, new Map(message.todos.map((todo) => [todo.id, todo])));
    if (state.tenants.some((tenant) => tenant.id === message.tenant_id)) renderTodos(supabase);
    else loadTenants(supabase).catch((error) => say(error.message, "error"));
  } else if (message.type === "change") {
    if (message.op === "delete") todosOf(message.tenant_id).delete(message.id);
    else todosOf(message.tenant_id).set(message.todo.id, message.todo);
    if (message.tenant_id === state.tenantId) renderTodos(supabase);
  } else if (message.type === "left") {
    state.todos.delete(message.tenant_id);
    loadTenants(supabase).catch((error) => say(error.message, "error"));
  }
}

function createLive(supabase) {
  return new LiveConnection({
    readToken: async () => (await supabase.auth.getSession()).data.session?.access_token,
    renewToken: async () => (await supabase.auth.refreshSession()).data.session !== null,
    onMessage: (message) => handleLive(supabase, message),
    onState: (name) => {
      element("live").dataset.state = name;
      element("live").textContent = name === "on" ? "live" : "offline";
    },
  });
}

/** The next person at this screen finds nothing of the last one. */
function forget() {
  Object.assign(state, { tenants: [], tenantId: null, todos: new Map() });
  element("todos").replaceChildren();
  element("tenant").replaceChildren();
  element("todo-panel").hidden = true;
  element("todos-title").textContent = "To do";
  for (const form of document.forms) form.reset();
}

async function showSession(supabase, live, session) {
  const before = state.session?.user.id;
  state.session = session;
  element("session").hidden = session === null;
  element("sign-in-view").hidden = session !== null;
  element("tenant-view").hidden = session === null;
  element("who").textContent = session?.user.email ?? "";
  if (session === null) {
    live.close();
    forget();
  } else if (session.user.id === before) {
    await live.authenticate();
  } else {
    await loadTenants(supabase);
    live.open();
  }
}

async function signIn(supabase, verb) {
  const credentials = { email: element("email").value.trim(), password: element("password").value };
  if (verb === "sign-up") {
    const { session } = unwrap(await supabase.auth.signUp(credentials));
    if (session === null) say("Almost there: please follow the link in the e-mail we have sent you.");
  } else {
    unwrap(await supabase.auth.signInWithPassword(credentials));
  }
  element("password").value = "";
}

function onSubmit(id, action) {
  element(id).addEventListener("submit", (event) => {
    event.preventDefault();
    act(event.target, () => action(event.target, event.submitter?.value));
  });
}

function connectForms(supabase) {
  onSubmit("sign-in-form", (_form, verb) => signIn(supabase, verb));
  onSubmit("tenant-form", async (form) => {
    const tenantId = unwrap(await supabase.rpc("create_tenant", { name: element("tenant-name").value.trim() }));
    form.reset();
    await loadTenants(supabase, tenantId);
  });
  onSubmit("todo-form", async (form) => {
    const title = element("todo-title").value.trim();
    const [todo] = unwrap(await supabase.from("todos").insert({ tenant_id: state.tenantId, title }).select());
    form.reset();
    showTodo(supabase, todo);
  });
  element("tenant").addEventListener("change", (event) =>
    act(element("tenant-choice"), () => chooseTenant(supabase, event.target.value)),
  );
  element("sign-out").addEventListener("click", () => act(element("session"), () => supabase.auth.signOut()));
}

async function start() {
  const response = await fetch("/config.json");
  if (!response.ok) throw new Error("The configuration of this page cannot be read.");
  const config = await response.json();
  const supabase = createClient(config.SUPABASE_URL, config.SUPABASE_ANON_KEY);
  const live = createLive(supabase);
  connectForms(supabase);
  supabase.auth.onAuthStateChange((_event, session) => {
    // supabase-js holds a lock while it calls back: its own calls must wait until this function has returned.
    setTimeout(() => showSession(supabase, live, session).catch((error) => say(error.message, "error")));
  });
}

start().catch((error) => say(error.message, "error"));
