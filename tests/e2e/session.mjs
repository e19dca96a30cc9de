// Two users of the example application, through supabase-js and the edge, as a browser would; prints what happened as JSON.
// They sign up and in with Auth; where the lab has no Auth, USERS brings their ids and tokens.
import { createRequire } from "node:module";
const require = createRequire("/opt/client/");
const { createClient } = require("@supabase/supabase-js");
const WebSocket = require("ws");

const { API_URL, APP_URL, ANON_KEY, WRONG_KEY, USERS } = process.env;
const options = { auth: { persistSession: false, autoRefreshToken: false }, realtime: { transport: WebSocket } };
const report = {};

async function brought({ email, token }) {
  const client = createClient(API_URL, ANON_KEY, { ...options, accessToken: async () => token });
  return { client, tenant: await newTenant(client, email), token };
}

async function newTenant(client, name) {
  const tenant = await client.rpc("create_tenant", { name });
  if (tenant.error) throw new Error(`tenant: ${tenant.error.message}`);
  return tenant.data;
}

async function signedUp(email) {
  const client = createClient(API_URL, ANON_KEY, options);
  const password = crypto.randomUUID();
  const up = await client.auth.signUp({ email, password });
  if (up.error) throw new Error(`sign up: ${up.error.message}`);
  await client.auth.signOut();
  const signedIn = await client.auth.signInWithPassword({ email, password });
  if (signedIn.error) throw new Error(`sign in: ${signedIn.error.message}`);
  return { client, tenant: await newTenant(client, email), token: signedIn.data.session.access_token };
}

async function status(path, headers) {
  return (await fetch(`${API_URL}${path}`, { headers })).status;
}

const stamp = Date.now();
const [alice, bob] = USERS
  ? await Promise.all(JSON.parse(USERS).map(brought))
  : await Promise.all(["alice", "bob"].map((name) => signedUp(`${name}-${stamp}@lab.test`)));

const inserted = await alice.client.from("todos").insert({ tenant_id: alice.tenant, title: "water the plants" }).select();
report.inserted = inserted.error?.message ?? inserted.data.length;
const own = await alice.client.from("todos").select("title");
report.own = own.error?.message ?? own.data.map((row) => row.title);
const foreign = await bob.client.from("todos").select("title");
report.foreign = foreign.error?.message ?? foreign.data;
const smuggled = await bob.client.from("todos").insert({ tenant_id: alice.tenant, title: "not mine" });
report.smuggled = smuggled.error ? "refused" : "accepted";

const rest = "/rest/v1/todos?select=title";
report.noKey = await status(rest, {});
report.wrongKey = await status(rest, { apikey: WRONG_KEY, Authorization: `Bearer ${WRONG_KEY}` });
report.forgedToken = await status(rest, { apikey: ANON_KEY, Authorization: `Bearer ${WRONG_KEY}` });

// A websocket through the edge: the first message carries the token; a row that the user adds comes back.
function live(token, act) {
  return new Promise((resolve) => {
    const socket = new WebSocket(`${APP_URL.replace("https", "wss")}/ws`, { origin: APP_URL });
    const messages = [];
    const done = (code) => resolve({ messages, code });
    const timer = setTimeout(() => socket.close(1000), 8000);
    socket.on("open", () => socket.send(JSON.stringify({ type: "auth", access_token: token })));
    socket.on("message", async (data) => {
      const message = JSON.parse(data.toString());
      messages.push(message);
      if (message.type === "snapshot" && act) await act();
      if (message.type === "change") { clearTimeout(timer); socket.close(1000); }
    });
    socket.on("close", done);
    socket.on("error", (error) => messages.push({ type: "error", message: error.message }));
  });
}
const add = () => alice.client.from("todos").insert({ tenant_id: alice.tenant, title: "feed the cat" });
const [aliceLive, bobLive, nobody] = await Promise.all([live(alice.token, add), live(bob.token), live(WRONG_KEY)]);
report.aliceLive = aliceLive.messages.map((message) => message.type);
report.bobLive = bobLive.messages.map((message) => message.type);
report.nobodyLive = nobody.code;

console.log(JSON.stringify(report));
