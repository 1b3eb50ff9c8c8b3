import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import fc from "fast-check";
import type { Identity } from "../../identity/identity.ts";
import { compileTransforms } from "../../identity/transformations.ts";
import type { Transforms } from "../../identity/transformations.ts";
import { silentLogger } from "../../telemetry/log.ts";
import type { Authenticator, AuthenticatorSettings } from "./authenticator.ts";
import { createTransformingAuthenticator } from "./transforming-authenticator.ts";

/** One authenticator with the server that stands behind it. */
export interface AuthenticatorBench {
  readonly authenticator: Authenticator;
  /** A token that the authenticator accepts for this user. */
  tokenFor(user: { readonly username: string; readonly groups: readonly string[] }): Promise<string>;
  /** A well-formed token that it does not accept. */
  foreignToken(): Promise<string>;
  /** How often the server was asked so far. */
  asked(): number;
  /** What becomes of a good token while the server is away: keys outlive it, verdicts do not (S4). */
  readonly withoutServer: "accepted" | "refused";
  stopServer(): Promise<void>;
  startServer(): Promise<void>;
  close(): Promise<void>;
}

const { signal } = new AbortController();
const names = fc.string({ unit: "grapheme", minLength: 1, maxLength: 40 });
const users = fc.record({ username: names, groups: fc.array(names, { maxLength: 10 }) });
const oddTokens = fc.oneof(
  fc.string(),
  fc.string({ unit: "binary" }),
  fc.base64String(),
  fc
    .array(fc.base64String({ minLength: 4 }), { minLength: 3, maxLength: 5 })
    .map((parts) => parts.join(".").replaceAll("=", "")),
);

/** What every kind of authenticator keeps to, whatever its server; one suite, two implementations. */
export function describeAuthenticator(kind: string, create: () => Promise<AuthenticatorBench>): void {
  describe(kind, () => {
    let bench: AuthenticatorBench;
    before(async () => {
      bench = await create();
    });
    after(() => bench.close());

    const login = (token: string): Promise<Identity | undefined> =>
      bench.authenticator.authenticate(token, signal);
    const transforming = (transforms: Transforms, settings: AuthenticatorSettings = {}): Authenticator => {
      const { transformation, problems } = compileTransforms(transforms);
      assert.ok(transformation !== undefined, JSON.stringify(problems));
      return createTransformingAuthenticator(bench.authenticator, {
        transformation,
        settings,
        log: silentLogger,
        name: "x",
      });
    };

    it("answers usernames and groups exactly as they are", async () => {
      await fc.assert(
        fc.asyncProperty(users, async (user) => {
          const identity = await login(await bench.tokenFor(user));
          assert.equal(identity?.username, user.username);
          assert.deepEqual(identity.groups, user.groups);
          assert.equal(identity.uid, undefined);
        }),
        { numRuns: 50 },
      );
    });

    it("answers nothing, or refuses, for what is not its token", async () => {
      const outcome = async (token: string): Promise<Identity | undefined> => {
        try {
          return await login(token);
        } catch (error) {
          const { message } = error as Error;
          assert.ok(token.length < 8 || !message.includes(token), "the message holds the token");
          return undefined;
        }
      };
      assert.equal(await outcome(await bench.foreignToken()), undefined);
      await fc.assert(
        fc.asyncProperty(oddTokens, async (token) => {
          assert.equal(await outcome(token), undefined);
        }),
        { numRuns: 100 },
      );
    });

    it("never looks at a token over 64 KiB", async () => {
      const before = bench.asked();
      const token = await bench.tokenFor({ username: "jane", groups: [] });
      assert.equal(await login(`${token}${"x".repeat(65_536)}`), undefined);
      assert.equal(bench.asked(), before);
    });

    it("keeps logins at the same time apart", async () => {
      const names = Array.from({ length: 50 }, (_, index) => `user-${index}`);
      const tokens = await Promise.all(
        names.map((username) => bench.tokenFor({ username, groups: [`${username}-group`] })),
      );
      const identities = await Promise.all(tokens.map((token) => login(token)));
      assert.deepEqual(
        identities.map((identity) => [identity?.username, identity?.groups]),
        names.map((name) => [name, [`${name}-group`]]),
      );
    });

    it("transforms identities, and takes a policy's refusal for a rejected token", async () => {
      const authenticator = transforming(
        {
          constants: [{ name: "banned", type: "stringList", stringListValue: ["guests"] }],
          expressions: [
            { type: "username/v1", expression: '"corp:" + username.lowerAscii()' },
            { type: "groups/v1", expression: 'groups.filter(g, !g.startsWith("system:"))' },
            { type: "policy/v1", expression: "!groups.exists(g, g in strListConst.banned)", message: "no" },
          ],
        },
        { maximumLifetimeSeconds: 60, allowedGroups: ["system:foo"] },
      );
      const attempt = async (groups: readonly string[]) =>
        authenticator.authenticate(await bench.tokenFor({ username: "Jane", groups }), signal);
      const identity = await attempt(["z", "system:masters", "a", "z"]);
      assert.equal(identity?.username, "corp:jane");
      assert.deepEqual(identity.groups, ["a", "z"]);
      assert.equal(await attempt(["guests"]), undefined);
      assert.deepEqual(authenticator.settings, { maximumLifetimeSeconds: 60, allowedGroups: ["system:foo"] });
    });

    it("refuses a login whose transformation goes wrong", async () => {
      const authenticator = transforming({
        expressions: [{ type: "username/v1", expression: "groups[0]" }],
      });
      const token = await bench.tokenFor({ username: "jane", groups: [] });
      await assert.rejects(authenticator.authenticate(token, signal), {
        name: "TransformationError",
        message: /^identity transformation at index 0: /,
      });
      const empty = transforming({ expressions: [{ type: "username/v1", expression: '" "' }] });
      await assert.rejects(empty.authenticate(token, signal), {
        message: "identity transformation returned an empty username, which is not allowed",
      });
    });

    it("goes by its keys, never by an old verdict, while the server is away", async () => {
      const token = await bench.tokenFor({ username: "jane", groups: [] });
      assert.equal((await login(token))?.username, "jane");
      await bench.stopServer();
      if (bench.withoutServer === "accepted") {
        assert.equal((await login(token))?.username, "jane");
      } else {
        await assert.rejects(login(token));
      }
      await bench.startServer();
      assert.equal((await login(token))?.username, "jane");
    });
  });
}
