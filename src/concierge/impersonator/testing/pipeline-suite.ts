import { before, beforeEach } from "node:test";
import type { Identity } from "../../../identity/identity.ts";
import type { TestClientCertificate } from "../../api/testing/harness.ts";
import type { AuthorizationDecision, RequestAttributes } from "../../request/authorizer.ts";
import { certificateOf, createPipelineWorld } from "./pipeline-harness.ts";
import type { PipelineWorld, WorldOptions } from "./pipeline-harness.ts";

export const UNAUTHORIZED =
  '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}\n';
export const UNABLE =
  '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Internal error occurred: unimplemented functionality - unable to act as current user","reason":"InternalError","details":{"causes":[{"message":"unimplemented functionality - unable to act as current user"}]},"code":500}\n';
export const allow: AuthorizationDecision = { allowed: true, reason: "" };
export const deny: AuthorizationDecision = { allowed: false, reason: "" };

/** What the tests of the steps share; fresh for each test. */
export interface PipelineSuite {
  world: PipelineWorld;
  /** Of the proxy's signer, in group `devs`. */
  alice: TestClientCertificate;
  decide: (user: Identity, attributes: RequestAttributes) => AuthorizationDecision;
  /** Bearer tokens of others, by token; `good` is `token-user`, `broken` gets no answer. */
  tokens: Map<string, Identity>;
  newWorld(options?: WorldOptions): Promise<PipelineWorld>;
}

export function usePipelineSuite(): PipelineSuite {
  const suite: Partial<PipelineSuite> & Pick<PipelineSuite, "newWorld" | "decide" | "tokens"> = {
    decide: () => allow,
    tokens: new Map(),
    newWorld: (options = {}) =>
      createPipelineWorld({
        authorize: (user, attributes) => suite.decide(user, attributes),
        authenticateToken: async (token) => {
          if (token === "broken") {
            throw new Error("no answer");
          }
          return suite.tokens.get(token);
        },
        ...options,
      }),
  };
  before(async () => {
    suite.alice = await certificateOf(await createPipelineWorld(), "alice", ["devs"]);
  });
  beforeEach(async () => {
    suite.decide = () => allow;
    suite.tokens = new Map([["good", { username: "token-user", groups: ["g"], extra: {} }]]);
    suite.world = await suite.newWorld();
  });
  return suite as PipelineSuite;
}

/** Header pairs as lines. */
export function namesAndValues(headers: readonly string[]): readonly string[] {
  const found: string[] = [];
  for (let index = 0; index < headers.length; index += 2) {
    found.push(`${headers[index]}: ${headers[index + 1]}`);
  }
  return found;
}

export const bearer = (token: string): readonly string[] => ["Authorization", `Bearer ${token}`];
