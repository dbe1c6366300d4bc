// Runs what the platform runs, in a throw-away state directory, so that Node writes its compile cache: the two checks of a
// configuration, then the gateway until /startupz says that it has started.
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const state = mkdtempSync("/tmp/warm-");
const config = {
  gateway: { mode: "local", port: 18789, bind: "loopback", auth: { mode: "none" }, http: { endpoints: { chatCompletions: { enabled: true } } } },
  plugins: { allow: ["admin-http-rpc", "openrouter"], slots: { memory: "none" }, entries: { "admin-http-rpc": { enabled: true } } },
  discovery: { mdns: { mode: "off" } },
  update: { checkOnStart: false, auto: { enabled: false } },
  telemetry: { enabled: false },
};
writeFileSync(join(state, "openclaw.json"), JSON.stringify(config));
const environment = {
  ...process.env, HOME: state, OPENCLAW_HOME: state, OPENCLAW_STATE_DIR: state, OPENCLAW_CONFIG_PATH: join(state, "openclaw.json"),
  OPENCLAW_DISABLE_BONJOUR: "1", OPENCLAW_NO_RESPAWN: "1", OPENCLAW_NO_AUTO_UPDATE: "1", OPENCLAW_SKIP_CHANNELS: "1",
};
const openclaw = (...command) => spawnSync(process.execPath, ["openclaw.mjs", ...command], { env: environment, stdio: "inherit" });
writeFileSync(join(state, "patch.json"), "{}");
openclaw("config", "validate", "--json");
openclaw("config", "patch", "--dry-run", "--json", "--file", join(state, "patch.json"));

const gateway = spawn(process.execPath, ["openclaw.mjs", "gateway", "run"], { env: environment, stdio: "inherit" });
const ended = new Promise((resolve) => gateway.once("exit", resolve));

const started = async () => {
  const answer = await fetch("http://127.0.0.1:18789/startupz").catch(() => undefined);
  return (await answer?.json().catch(() => undefined))?.status === "started";
};
const deadline = Date.now() + 180_000;
while (!(await started())) {
  if (gateway.exitCode !== null || Date.now() > deadline) throw new Error("OpenClaw did not start");
  await sleep(500);
}
gateway.kill("SIGTERM");
await ended;
rmSync(state, { recursive: true, force: true });
