// Field test 19: what anybody may send to the exchange, without any credential.
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { LOGIN, startHarness, testLimits } from "../../src/concierge/api/testing/harness.ts";
import type { Answer, Harness } from "../../src/concierge/api/testing/harness.ts";
import type { Identity } from "../../src/identity/identity.ts";

let harness: Harness;
let tokens: string[];
let verdict: () => Promise<Identity | undefined>;

before(async () => {
  harness = await startHarness({
    limits: { ...testLimits, failuresPerSource: { perSecond: 1, burst: 30 }, concurrentCreates: 3 },
  });
  harness.authenticators.set(
    JSON.stringify(["authentication.concierge.pinniped.dev", "WebhookAuthenticator", "w"]),
    {
      authenticate: (token: string) => {
        tokens.push(token);
        return verdict();
      },
      close: () => {},
    },
  );
});
after(() => harness.close());
beforeEach(async () => {
  tokens = [];
  verdict = async () => ({ username: "jane", groups: [], extra: {} });
  harness.issued.length = 0;
  // Whoever failed before has paid.
  await harness.clock.advance(60_000);
});

const SPEC =
  '"authenticator":{"apiGroup":"authentication.concierge.pinniped.dev","kind":"WebhookAuthenticator","name":"w"}';
const request = (spec: string): string =>
  `{"kind":"TokenCredentialRequest","apiVersion":"login.concierge.pinniped.dev/v1alpha1","spec":{${spec}}}`;
const post = (body: string | Buffer, type = "application/json"): Promise<Answer> =>
  harness.call({ method: "POST", path: LOGIN, headers: { "content-type": type }, body });

test("field 19: a body over 3 MiB is a 413, and nobody is asked", async () => {
  assert.equal((await post(request(`"token":"${"t".repeat(3.5 * 1024 * 1024)}",${SPEC}`))).status, 413);
  assert.deepEqual(tokens, []);
});

test("field 19: a token of 1 MB is never shown to an authenticator", async () => {
  const answer = await post(request(`"token":"${"t".repeat(1_000_000)}",${SPEC}`));
  assert.equal(answer.status, 201);
  assert.match(answer.body, /authentication failed/);
  assert.deepEqual([tokens, harness.issued], [[], []]);
});

test("field 19: nesting, duplicate keys, unknown fields and prototypes change nothing of what is read", async () => {
  const deep = (count: number): string => `${"[".repeat(count)}${"]".repeat(count)}`;
  assert.equal((await post(request(`"token":"t",${SPEC},"x":${deep(100_000)}`))).status, 400);
  assert.deepEqual(tokens, []);
  for (const odd of [
    '"__proto__":{"token":"other"}',
    '"constructor":{"prototype":{"token":"other"}}',
    '"toString":1',
    '"unknown":{"a":[1]}',
  ]) {
    tokens = [];
    assert.equal((await post(request(`${odd},"token":"t",${SPEC}`))).status, 201, odd);
    assert.deepEqual(tokens, ["t"]);
  }
  assert.equal(({} as { token?: string }).token, undefined);
  tokens = [];
  // As encoding/json: the last one counts, and one reading alone.
  const twice = await post(request(`"token":"first","token":"second",${SPEC}`));
  assert.ok(
    twice.status === 400 || (twice.status === 201 && tokens.join() === "second"),
    String(twice.status),
  );
});

test("field 19: other types are refused or read with the same limits", async () => {
  for (const type of [
    "application/vnd.kubernetes.protobuf",
    "application/cbor",
    "application/cbor-seq",
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
  ]) {
    assert.equal((await post(request(`"token":"t",${SPEC}`), type)).status, 415, type);
  }
  assert.deepEqual(tokens, []);
  const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d]\n`;
  assert.equal((await post(bomb, "application/yaml")).status, 400);
  for (const body of ["", "null", "[]", "7", '"x"', "{", Buffer.from([0xff, 0xfe]), "\0".repeat(100)]) {
    assert.ok([400, 422].includes((await post(body)).status), String(body));
  }
  assert.deepEqual(tokens, []);
});

test("field 19: failures of one source are shed, successes are not", async () => {
  verdict = async () => undefined;
  const statuses: number[] = [];
  for (let count = 0; count < 35; count += 1) {
    statuses.push((await post(request(`"token":"t",${SPEC}`))).status);
  }
  assert.ok(statuses.slice(0, 25).every((status) => status === 201));
  assert.equal(statuses.at(-1), 429);
  const asked = tokens.length;
  assert.ok(asked <= 31, `${asked} were asked about`);
});

test("field 19: more creates at a time than allowed are shed at once", async () => {
  const { promise, resolve } = Promise.withResolvers<Identity | undefined>();
  verdict = () => promise;
  const running = Array.from({ length: 10 }, () => post(request(`"token":"t",${SPEC}`)));
  let shed = 0;
  for (const each of running) {
    void each.then(({ status }) => (shed += status === 429 ? 1 : 0));
  }
  while (shed + tokens.length < 10) {
    await new Promise((done) => setImmediate(done));
  }
  assert.ok(tokens.length > 0 && tokens.length <= 3, `${tokens.length} at a time`);
  resolve({ username: "jane", groups: [], extra: {} });
  const statuses = (await Promise.all(running)).map(({ status }) => status);
  assert.equal(statuses.filter((status) => status === 201).length, tokens.length);
});

test("field 19: HTTP/2 is not offered, so no storm of streams either", async () => {
  const socket = await harness.connect({ ALPNProtocols: ["h2", "http/1.1"] });
  assert.equal(socket.alpnProtocol, "http/1.1");
  socket.destroy();
});
