import assert from "node:assert/strict";
import { after, before, beforeEach } from "node:test";
import { testClientCertificate } from "../../../src/concierge/api/testing/harness.ts";
import type { TestClientCertificate } from "../../../src/concierge/api/testing/harness.ts";
import { certificateOf, PROXY_TOKEN } from "../../../src/concierge/impersonator/testing/pipeline-harness.ts";
import type { WorldOptions } from "../../../src/concierge/impersonator/testing/pipeline-harness.ts";
import type { AuthorizationDecision, RequestAttributes } from "../../../src/concierge/request/authorizer.ts";
import type { Identity } from "../../../src/identity/identity.ts";
import { startIdentityProxy } from "./identity-proxy.ts";
import type { Answer, IdentityProxy } from "./identity-proxy.ts";

export const GET = "GET /api/v1/namespaces/d/configmaps/c HTTP/1.1";
export const HOST = "Host: proxy.example";
export const NONE = "no certificate";
export type Shown = TestClientCertificate | typeof NONE;

/** The whole proxy before an upstream that writes down what it gets, fresh rules for each test. */
export interface IdentitySuite {
  proxy: IdentityProxy;
  /** Of the proxy's signer, in group `devs`. */
  alice: TestClientCertificate;
  frontProxy: TestClientCertificate;
  /** What TokenReviews answer. */
  tokens: Map<string, Identity>;
  /** Everybody may do everything unless a test says otherwise. */
  decide: (user: Identity, attributes: RequestAttributes) => AuthorizationDecision;
  /** Sends a GET with these header lines, which must be answered with 200. */
  served(lines: readonly string[], certificate?: Shown): Promise<void>;
  /** Whatever the refusal is, the kube-apiserver never sees somebody's own word for who they are. */
  refusedUnseen(lines: readonly string[], certificate?: Shown): Promise<Answer>;
  actsAsAlice(): void;
}

export function useIdentityProxy(options: WorldOptions = {}): IdentitySuite {
  const suite = {} as IdentitySuite;
  const send = async (lines: readonly string[], shown: Shown = suite.alice): Promise<Answer> => {
    suite.proxy.seen.length = 0;
    return await suite.proxy.raw([GET, HOST, ...lines], {
      certificate: shown === NONE ? undefined : shown,
    });
  };
  Object.assign(suite, {
    served: async (lines, certificate) => {
      const answer = await send(lines, certificate);
      assert.equal(answer.status, 200, answer.body);
    },
    refusedUnseen: async (lines, certificate) => {
      const answer = await send(lines, certificate);
      assert.ok(answer.status >= 400 && answer.status <= 500, `${answer.status} ${answer.body}`);
      assert.deepEqual(suite.proxy.seen, [], lines.join("; "));
      return answer;
    },
    actsAsAlice: () => {
      assert.deepEqual(suite.proxy.valuesSeen("authorization"), [`Bearer ${PROXY_TOKEN}`]);
      assert.deepEqual(suite.proxy.valuesSeen("impersonate-user"), ["alice"]);
      assert.deepEqual(suite.proxy.valuesSeen("impersonate-group"), ["devs", "system:authenticated"]);
      assert.deepEqual(suite.proxy.valuesSeen("impersonate-uid"), []);
    },
  } satisfies Partial<IdentitySuite>);
  before(async () => {
    suite.proxy = await startIdentityProxy({
      authorize: (user, attributes) => suite.decide(user, attributes),
      authenticateToken: async (token) => suite.tokens.get(token),
      ...options,
    });
    const { world } = suite.proxy;
    suite.alice = await certificateOf(world, "alice", ["devs"]);
    suite.frontProxy = await testClientCertificate(world.authorities.frontProxy, "front-proxy-client");
  });
  after(() => suite.proxy.close());
  beforeEach(() => {
    suite.proxy.seen.length = 0;
    suite.tokens = new Map();
    suite.decide = () => ({ allowed: true, reason: "" });
  });
  return suite;
}
