import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createLoopbackCertificate } from "../../../test/oidc/certificates.ts";
import { getKubeconfigFlags } from "../command-line/kubeconfig-flags.ts";
import { parseFlags } from "../command-line/parse-flags.ts";
import { createTestContext } from "../http/testing/context.ts";
import type { Authenticator } from "./authenticator.ts";
import { createDeadline } from "./deadline.ts";
import { discoverLogin } from "./discover-login.ts";
import { findAuthenticator, issuerCaBundle } from "./find-authenticator.ts";
import { type ClusterSearch, findCredentialIssuer } from "./find-credential-issuer.ts";
import { ApiError } from "./kubernetes-api.ts";
import { readSettings } from "./settings.ts";

const { caPem } = await createLoopbackCertificate();

/** What a cluster answers, by path; a path that is not there is forbidden. */
type Answers = Readonly<Record<string, readonly unknown[]>>;

async function inCluster<T>(
  answers: Answers,
  work: (search: ClusterSearch) => Promise<T>,
  apiGroupSuffix = "pinniped.dev",
): Promise<{ readonly result: T; readonly lines: readonly (readonly [string, object])[] }> {
  const context = createTestContext();
  const deadline = createDeadline({ ...context, clock: { ...context.clock, sleep: async () => {} } }, 60_000);
  const asked: Record<string, number> = {};
  try {
    const result = await work({
      api: {
        call: async ({ path }) => {
          const list = answers[path];
          const turn = asked[path] ?? 0;
          asked[path] = turn + 1;
          if (list === undefined) {
            throw new ApiError(403, `${path} is forbidden`);
          }
          return list[Math.min(turn, list.length - 1)];
        },
        close: async () => {},
      },
      apiGroupSuffix,
      deadline,
      log: context.log,
    });
    return { result, lines: context.lines.map(({ message, values }) => [message, values] as const) };
  } finally {
    deadline.end();
  }
}
const fails = (
  message: string,
  answers: Answers,
  work: (search: ClusterSearch) => Promise<unknown>,
  apiGroupSuffix?: string,
): Promise<void> =>
  assert.rejects(inCluster(answers, work, apiGroupSuffix), { name: "CommandError", message });

const issuers = "/apis/config.concierge.pinniped.dev/v1alpha1/credentialissuers";
const jwts = "/apis/authentication.concierge.pinniped.dev/v1alpha1/jwtauthenticators";
const webhooks = "/apis/authentication.concierge.pinniped.dev/v1alpha1/webhookauthenticators";
const apiServices = "/apis/apiregistration.k8s.io/v1/apiservices";
const items = (...list: readonly object[]): readonly unknown[] => [{ items: list }];
const named = (name: string, more: object = {}): object => ({ metadata: { name }, ...more });

describe("the CredentialIssuer", () => {
  const find = (search: ClusterSearch): Promise<unknown> =>
    findCredentialIssuer(search, { name: "", skipWait: false });

  test("the only one is taken, with a line about it", async () => {
    const { result, lines } = await inCluster({ [issuers]: items(named("a")) }, find);
    assert.deepEqual(result, named("a"));
    assert.deepEqual(lines, [["discovered CredentialIssuer", { name: "a" }]]);
  });

  test("none, several, and a list that cannot be had", async () => {
    await fails("no CredentialIssuers were found", { [issuers]: items() }, find);
    await fails(
      "multiple CredentialIssuers were found, so the --concierge-credential-issuer flag must be specified",
      { [issuers]: items(named("a"), named("b")) },
      find,
    );
    await fails(
      `failed to list CredentialIssuer objects for autodiscovery: ${issuers} is forbidden`,
      {},
      find,
    );
  });

  test("one with a pending strategy is asked for again, and each look counted", async () => {
    const strategy = { type: "T", status: "Error", reason: "Pending", message: "m" };
    const pending = { items: [named("a", { status: { strategies: [strategy] } })] };
    const { lines } = await inCluster({ [issuers]: [pending, pending, { items: [named("a")] }] }, find);
    const discovered = ["discovered CredentialIssuer", { name: "a" }] as const;
    const found = ["found CredentialIssuer strategy", strategy] as const;
    const waiting = "waiting for CredentialIssuer pending strategies to finish";
    assert.deepEqual(lines, [
      discovered,
      found,
      [waiting, { attempts: 1, remaining: "1m0s" }],
      discovered,
      found,
      [waiting, { attempts: 2, remaining: "1m0s" }],
      discovered,
    ]);
  });
});

describe("the authenticator", () => {
  const find = (search: ClusterSearch): Promise<Authenticator> =>
    findAuthenticator(search, { type: "", name: "" });

  test("none at all, and lists that cannot be had", async () => {
    await fails("no authenticators were found", { [jwts]: items(), [webhooks]: items() }, find);
    await fails(
      `failed to list JWTAuthenticator objects for autodiscovery: ${jwts} is forbidden`,
      { [webhooks]: items() },
      find,
    );
    await fails(
      `failed to list WebhookAuthenticator objects for autodiscovery: ${webhooks} is forbidden`,
      { [jwts]: items() },
      find,
    );
  });

  test("of the other kind alone is found when nothing was given", async () => {
    const { result } = await inCluster({ [jwts]: items(), [webhooks]: items(named("w")) }, find);
    assert.deepEqual([result.type, result.name], ["webhook", "w"]);
  });
});

test("what was discovered is told, in the order in which it was", async () => {
  const { flags } = parseFlags(getKubeconfigFlags({}), ["--static-token=t"]);
  const settings = await readSettings(flags, "/bin/lanyard");
  const frontend = { type: "TokenCredentialRequestAPI", tokenCredentialRequestInfo: {} };
  const strategies = [{ type: "KubeClusterSigningCertificate", status: "Success", frontend }];
  const { result, lines } = await inCluster(
    {
      [issuers]: items(named("a", { status: { strategies } })),
      [jwts]: items(),
      [webhooks]: items(named("w")),
    },
    (search) =>
      discoverLogin(createTestContext(), settings, search, {
        server: "https://cluster",
        "certificate-authority-data": Buffer.from(caPem).toString("base64"),
      }),
  );
  assert.deepEqual(lines, [
    ["discovered CredentialIssuer", { name: "a" }],
    ["discovered Concierge operating in TokenCredentialRequest API mode", {}],
    ["discovered Concierge endpoint", { endpoint: "https://cluster" }],
    ["discovered Concierge certificate authority bundle", { roots: 1 }],
    ["discovered WebhookAuthenticator", { name: "w" }],
  ]);
  assert.deepEqual(
    [result.concierge?.authenticatorType, result.concierge?.authenticatorName, result.concierge?.endpoint],
    ["webhook", "w", "https://cluster"],
  );
});

describe("the CA of an issuer", () => {
  const start = "tried to autodiscover --oidc-ca-bundle, but ";
  const from = (tls: object) => (search: ClusterSearch) =>
    issuerCaBundle(search, { type: "jwt", name: "j", spec: { tls } });
  const source = (kind: string, key = "k") =>
    from({ certificateAuthorityDataSource: { kind, name: "n", key } });
  const at = "specified by JWTAuthenticator j spec.tls.certificateAuthorityDataSource";
  const concierge = { spec: { group: "login.concierge.pinniped.dev", service: { namespace: "ns" } } };
  const known: Answers = { [apiServices]: items(concierge) };
  const secret = "/api/v1/namespaces/ns/secrets/n";
  const configMap = "/api/v1/namespaces/ns/configmaps/n";
  const base64 = (text: string): string => Buffer.from(text).toString("base64");

  test("the Concierge's namespace is that of the first APIService of its group that has one", async () => {
    const others = [
      { spec: { group: "login.concierge.other.dev", service: { namespace: "wrong" } } },
      { spec: { group: "login.concierge.pinniped.dev", service: { namespace: "" } } },
    ];
    const { result, lines } = await inCluster(
      { [apiServices]: items(...others, concierge), [configMap]: [{ data: { k: caPem } }] },
      source("ConfigMap"),
    );
    assert.equal(result, caPem);
    assert.deepEqual(lines, [
      [
        "discovered Concierge namespace for API group suffix",
        { apiGroupSuffix: "pinniped.dev", namespace: "ns" },
      ],
      [
        "discovered OIDC CA bundle from JWTAuthenticator spec.tls.certificateAuthorityDataSource",
        { roots: 1 },
      ],
    ]);
    assert.equal(
      (await inCluster({ ...known, [secret]: [{ data: { k: base64(caPem) } }] }, source("Secret"))).result,
      caPem,
    );
    for (const [answers, why] of [
      [{}, `error listing APIServices: ${apiServices} is forbidden`],
      [
        { [apiServices]: items(...others) },
        "could not find APIService with non-empty spec.service.namespace for API group login.concierge.pinniped.dev",
      ],
    ] as const) {
      await fails(
        `${start}encountered error discovering namespace of Concierge for JWTAuthenticator j: ${why}`,
        answers,
        source("Secret"),
      );
    }
    await fails(
      `${start}encountered error discovering namespace of Concierge for JWTAuthenticator j: could not find APIService with non-empty spec.service.namespace for API group login.concierge.example.com`,
      known,
      source("Secret"),
      "example.com",
    );
  });

  test("what is wrong with it", async () => {
    await fails(
      `${start}JWTAuthenticator j has invalid spec.tls.certificateAuthorityData: illegal base64 data at input byte 1`,
      {},
      from({ certificateAuthorityData: "a!b" }),
    );
    await fails(
      `${start}JWTAuthenticator j spec.tls.certificateAuthorityDataSource.Kind value "Pod" is not supported by this CLI version`,
      known,
      source("Pod"),
    );
    for (const [kind, path, encode] of [
      ["Secret", secret, base64],
      ["ConfigMap", configMap, (text: string) => text],
    ] as const) {
      await fails(
        `${start}encountered error getting ${kind} ns/n ${at}: ${path} is forbidden`,
        known,
        source(kind),
      );
      const answers = { ...known, [path]: [{ data: { empty: "", none: encode("x") } }] };
      await fails(`${start}key "k" ${at}.key does not exist in ${kind} ns/n`, answers, source(kind));
      await fails(
        `${start}key "empty" ${at}.key exists but has empty value in ${kind} ns/n`,
        answers,
        source(kind, "empty"),
      );
      await fails(
        `${start}value at key "none" ${at}.key does not contain any CA certificates in ${kind} ns/n`,
        answers,
        source(kind, "none"),
      );
    }
  });
});
