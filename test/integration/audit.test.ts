import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { after, before, describe, it } from "node:test";

import { type Cluster, startCluster } from "../../hack/cluster/cluster.ts";
import { startIssuer, type TestIssuer } from "../oidc/issuer.ts";
import { startWebhook, type TestWebhook } from "../oidc/webhook.ts";
import { applyAuthenticator, authenticatorInPhase, inlineBundle } from "./harness/authenticators.ts";
import { type StraightCall, straightAt } from "./harness/callers.ts";
import { type Installation, installConcierge, type Replica, waitUntilServing } from "./harness/concierge.ts";
import { eventually } from "./harness/eventually.ts";
import {
  type AuthenticatorName,
  authenticatorReference,
  exchangeObject,
  exchangePath,
  issuedCertificate,
  whoAmIBody,
  whoAmIPath,
} from "./harness/exchange.ts";
import { type Answer, readText } from "./harness/http.ts";

const clientId = "audit-test";
const jane = { username: "jane-of-the-audit", groups: ["audited-apes", "audited-zebras"] };
const jwt: AuthenticatorName = { kind: "JWTAuthenticator", name: "company" };
const hook: AuthenticatorName = { kind: "WebhookAuthenticator", name: "webhook" };

type Line = Readonly<Record<string, unknown>>;

/** Every line that looks like JSON must be (contract 9.3). */
function jsonLines(log: string): readonly Line[] {
  return log
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => {
      try {
        return JSON.parse(line) as Line;
      } catch (cause) {
        throw new Error(`not JSON: ${line}`, { cause });
      }
    });
}

describe("audit events", () => {
  let cluster: Cluster;
  let concierge: Installation;
  let issuer: TestIssuer;
  let webhook: TestWebhook;
  let redacting: Server;
  let telling: Server;
  /** Whatever may never be in a log. */
  const secrets = new Set<string>();

  interface Server {
    readonly replica: Replica;
    readonly call: StraightCall;
  }

  before(async () => {
    issuer = await startIssuer({ clientId, users: [jane] });
    webhook = await startWebhook({
      tokens: {
        "opaque-token-with-a-uid": { username: jane.username, uid: "uid-of-the-audit" },
        "opaque-token-with-extras": {
          username: jane.username,
          extra: { "example.com/a": ["1"], "example.com/b": ["2"] },
        },
        "opaque-token-without-a-name": { username: "", groups: ["audited-apes"] },
        "opaque-token-without-groups": { username: jane.username },
      },
    });
    cluster = await startCluster({ name: `audit-${process.pid}`, progress: () => {} });
    concierge = await installConcierge(cluster, {
      replicas: 2,
      configuration: { log: { level: "all" } },
      replicaConfiguration: (index) => (index === 0 ? {} : { audit: { logUsernamesAndGroups: "enabled" } }),
    });
    await waitUntilServing(concierge);
    const [first, second] = concierge.replicas;
    assert.ok(first && second);
    redacting = { replica: first, call: await straightAt(concierge, first) };
    telling = { replica: second, call: await straightAt(concierge, second) };
    await applyAuthenticator(cluster, jwt, {
      issuer: issuer.issuerUrl,
      audience: clientId,
      tls: inlineBundle(issuer.caPem),
    });
    await applyAuthenticator(cluster, hook, { endpoint: webhook.endpoint, tls: inlineBundle(webhook.caPem) });
    await authenticatorInPhase(cluster, jwt, "Ready");
    await authenticatorInPhase(cluster, hook, "Ready");
    for (const server of [redacting, telling]) {
      await eventually(`both authenticators at ${server.replica.podName}`, async () => {
        const token = await secretToken({ ...jane });
        const answers = [
          await post(server, token, jwt),
          await post(server, "opaque-token-without-groups", hook),
        ];
        return answers.every(({ text }) => text.includes("clientKeyData"));
      });
    }
  });
  after(async () => {
    await concierge?.close();
    await issuer?.stop();
    await webhook?.stop();
    await cluster?.stop();
  });

  const secretToken = async (claims: Readonly<Record<string, unknown>>): Promise<string> => {
    const token = await issuer.signToken(claims);
    secrets.add(token);
    // Parts of it say as much as the whole.
    for (const part of token.split(".").slice(1)) {
      secrets.add(part);
    }
    return token;
  };
  const post = async ({ call }: Server, token: string, authenticator: AuthenticatorName): Promise<Answer> => {
    secrets.add(token);
    const answer = await call(exchangePath, { body: JSON.stringify(exchangeObject(token, authenticator)) });
    if (answer.text.includes("clientKeyData")) {
      const { privateKeyPem } = issuedCertificate(answer);
      secrets.add(privateKeyPem.split("\n")[1] ?? "");
    }
    return answer;
  };
  /** The events of one request, without what differs from run to run; the shape of that is checked. */
  const eventsOf = async ({ replica }: Server, answer: Answer): Promise<readonly Line[]> => {
    const auditID = answer.headers["audit-id"];
    assert.ok(typeof auditID === "string" && /^[0-9a-f-]{36}$/.test(auditID), String(auditID));
    // Standard error comes through a pipe: the line may be a moment behind the answer.
    const lines = await eventually(
      "audit lines",
      async () => {
        const found = jsonLines(replica.log()).filter((line) => line["auditID"] === auditID);
        const events = found.filter((line) => line["auditEvent"] === true);
        return events.length >= 2 ? events : undefined;
      },
      { seconds: 10, intervalMilliseconds: 20 },
    );
    return lines.map((line) => {
      const { level, auditEvent, caller, timestamp, auditID: _, ...event } = line;
      assert.deepEqual([level, auditEvent], ["info", true]);
      assert.match(String(caller), /^\S+\.\w+:\d+\$\S+$/);
      assert.match(String(timestamp), /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z$/);
      const first = ["level", "timestamp", "caller", "message", "auditEvent", "auditID"];
      assert.deepEqual(Object.keys(line).slice(0, 6), first);
      return event;
    });
  };
  const received = (token: string): Line => ({
    message: "TokenCredentialRequest Token Received",
    tokenID: createHash("sha256").update(token).digest("hex"),
  });

  const assertEvents = async (
    token: string,
    authenticator: AuthenticatorName,
    /** The second event, given what to make of a personal value. */
    second: (personal: (value: unknown) => unknown, answer: Answer) => Line,
  ): Promise<void> => {
    const redact = (value: unknown): unknown =>
      Array.isArray(value) ? [`redacted ${value.length} values`] : "redacted";
    for (const [server, personal] of [
      [redacting, redact],
      [telling, (value: unknown) => value],
    ] as const) {
      const answer = await post(server, token, authenticator);
      assert.equal(answer.status, 201, answer.text);
      const events = await eventsOf(server, answer);
      const expected = [received(token), second(personal, answer)];
      assert.deepEqual(events, expected);
      // The order of keys is part of the form, `personalInfo` first.
      assert.equal(JSON.stringify(events), JSON.stringify(expected));
    }
  };
  const rfc3339 = (time: Date): string => `${time.toISOString().slice(0, 19)}Z`;

  describe("of an exchange that succeeds", () => {
    const authenticated =
      (
        authenticator: AuthenticatorName,
        { username, groups }: { username: string; groups: readonly string[] },
      ) =>
      (personal: (value: unknown) => unknown, answer: Answer): Line => {
        const { validFromDate, validToDate } = new X509Certificate(issuedCertificate(answer).certificatePem);
        return {
          message: "TokenCredentialRequest Authenticated User",
          personalInfo: { username: personal(username), groups: personal(groups) },
          issuedClientCert: { notBefore: rfc3339(validFromDate), notAfter: rfc3339(validToDate) },
          authenticator: authenticatorReference(authenticator),
        };
      };

    it("with groups", async () => {
      const token = await issuer.getIdToken(jane);
      for (const part of token.split(".").slice(1)) {
        secrets.add(part);
      }
      await assertEvents(token, jwt, authenticated(jwt, jane));
    });

    it("without groups, which shows an empty list", async () => {
      const nobodys = { username: jane.username, groups: [] };
      await assertEvents("opaque-token-without-groups", hook, authenticated(hook, nobodys));
    });

    it("through the kube-apiserver, with the Audit-ID that its caller sees", async () => {
      const token = await secretToken({ ...jane });
      const answer = await concierge.api(exchangePath, { body: JSON.stringify(exchangeObject(token, jwt)) });
      secrets.add(issuedCertificate(answer).privateKeyPem.split("\n")[1] ?? "");
      // Both servers of the chain say the same one.
      const [auditID, ...others] = [...new Set(String(answer.headers["audit-id"]).split(", "))];
      assert.deepEqual(others, []);
      await eventually("its events at one of the replicas", async () =>
        [redacting, telling].some(
          ({ replica }) =>
            jsonLines(replica.log()).filter(
              (line) => line["auditEvent"] === true && line["auditID"] === auditID,
            ).length === 2,
        ),
      );
    });
  });

  describe("of an exchange that fails", () => {
    const rejected = (authenticator: AuthenticatorName) => (): Line => ({
      message: "TokenCredentialRequest Authentication Failed",
      reason: "auth rejected by authenticator",
      authenticator: authenticatorReference(authenticator),
    });
    const unexpected = (authenticator: AuthenticatorName, err: string) => (): Line => ({
      message: "TokenCredentialRequest Unexpected Error",
      reason: "authenticator returned an error",
      err,
      authenticator: authenticatorReference(authenticator),
    });
    const unsupported =
      (
        authenticator: AuthenticatorName,
        user: { name: string; uid?: string; extras?: number },
        err: string,
      ) =>
      (personal: (value: unknown) => unknown): Line => ({
        message: "TokenCredentialRequest Unsupported UserInfo",
        personalInfo: { userInfoName: personal(user.name), userInfoUID: personal(user.uid ?? "") },
        userInfoExtrasCount: user.extras ?? 0,
        reason: "unsupported value in userInfo returned by authenticator",
        err,
        authenticator: authenticatorReference(authenticator),
      });

    it("wrong tokens", async () => {
      await assertEvents("an-opaque-token-nobody-knows", hook, rejected(hook));
      await assertEvents("an-opaque-token-that-is-no-jwt", jwt, rejected(jwt));
      await assertEvents(
        await secretToken({ ...jane, iss: "https://elsewhere.example.com" }),
        jwt,
        rejected(jwt),
      );
      await assertEvents(`too-long-${"x".repeat(64 * 1024)}`, jwt, rejected(jwt));
    });

    it("tokens that do not verify", async () => {
      const expired = await secretToken({ ...jane, exp: Math.floor(Date.now() / 1000) - 10 });
      const answer = await post(redacting, expired, jwt);
      const [, event] = await eventsOf(redacting, answer);
      const err = String(event?.["err"]);
      assert.match(err, /^oidc: verify token: /);
      await assertEvents(expired, jwt, unexpected(jwt, err));
    });

    it("unknown authenticators", async () => {
      const unknown = { ...jwt, name: "unknown" };
      await assertEvents(
        await secretToken({ ...jane }),
        unknown,
        unexpected(unknown, "no such authenticator"),
      );
    });

    it("users that no certificate can be made for", async () => {
      const { username: name } = jane;
      await assertEvents(
        "opaque-token-with-a-uid",
        hook,
        unsupported(hook, { name, uid: "uid-of-the-audit" }, "UIDs are not supported"),
      );
      await assertEvents(
        "opaque-token-with-extras",
        hook,
        unsupported(
          hook,
          { name, extras: 2 },
          "extra may have only one key 'authentication.kubernetes.io/credential-id'",
        ),
      );
      await assertEvents(
        "opaque-token-without-a-name",
        hook,
        unsupported(hook, { name: "" }, "empty username is not allowed"),
      );
    });

    it("reserved identities, by the rule and never by the name (S1)", async () => {
      const token = await secretToken({ username: jane.username, groups: ["system:masters"] });
      const [, event] = await eventsOf(redacting, await post(redacting, token, jwt));
      const err = String(event?.["err"]);
      assert.match(err, /^reserved identity: /);
      assert.doesNotMatch(err, /masters|jane/);
      await assertEvents(token, jwt, unsupported(jwt, { name: jane.username }, err));
    });

    it("requests that are not in order have no events", async () => {
      for (const server of [redacting, telling]) {
        const count = () =>
          jsonLines(server.replica.log()).filter((line) => line["auditEvent"] === true).length;
        const before = count();
        assert.equal((await post(server, "", jwt)).status, 422);
        const dryRun = await server.call(`${exchangePath}?dryRun=All`, {
          body: JSON.stringify(exchangeObject("opaque-token-without-groups", hook)),
        });
        assert.equal(dryRun.status, 422);
        await server.call(exchangePath, { body: "{" });
        // An event that comes after all of these would have come after theirs.
        await eventsOf(server, await post(server, "an-opaque-token-nobody-knows", hook));
        assert.equal(count(), before + 2);
      }
    });
  });

  it("nothing secret is anywhere in the log, at the level that says everything", async () => {
    const bearerToken = "a-bearer-token-at-the-api";
    secrets.add(bearerToken);
    secrets.add(readText(`${concierge.kubeconfig}.token`));
    secrets.add(readText(cluster.ca.key).split("\n")[1] ?? "");
    secrets.delete("");
    for (const server of [redacting, telling]) {
      await server.call(whoAmIPath, { body: whoAmIBody, caller: { bearerToken } });
      await server.call(exchangePath, { body: `{"spec":{"token":"a-token-in-bad-json"` });
      await server.call(exchangePath, { body: `{"spec":{"token":["a-token-in-a-list"]}}` });
      await server.call(`${exchangePath}?token=a-token-in-the-query`, { body: "{}" });
    }
    for (const text of ["a-token-in-bad-json", "a-token-in-a-list", "a-token-in-the-query"]) {
      secrets.add(text);
    }
    assert.ok(secrets.size > 20, `${secrets.size} secrets`);
    for (const { replica } of [redacting, telling]) {
      const log = replica.log();
      const levels = new Set(jsonLines(log).map((line) => line["level"]));
      assert.ok(levels.has("debug"), [...levels].join(", "));
      for (const secret of secrets) {
        assert.ok(
          secret.length > 8 && !log.includes(secret),
          `${replica.podName} logged ${secret.slice(0, 40)}`,
        );
      }
      assert.doesNotMatch(log, /PRIVATE KEY|LS0tLS1CRUdJTi/);
      // The last guard had nothing to do: the code itself never said anything.
      assert.doesNotMatch(log, /\[redacted (?:token|private key)\]/);
    }
    for (const name of [jane.username, ...jane.groups, "uid-of-the-audit"]) {
      assert.ok(!redacting.replica.log().includes(name), name);
      assert.ok(telling.replica.log().includes(name), name);
    }
  });

  it("every line is one JSON object with level, timestamp, caller and message", async () => {
    for (const { replica } of [redacting, telling]) {
      const log = replica.log();
      const lines = jsonLines(log);
      assert.equal(lines.length, log.split("\n").filter((line) => line !== "").length, "only JSON lines");
      for (const line of lines) {
        assert.deepEqual(Object.keys(line).slice(0, 2), ["level", "timestamp"]);
        assert.ok(
          typeof line["caller"] === "string" && typeof line["message"] === "string",
          JSON.stringify(line),
        );
        assert.ok(!(line["auditEvent"] === true && "logger" in line));
      }
    }
  });
});
