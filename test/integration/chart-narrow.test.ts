import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type Cluster, startCluster } from "../../hack/cluster/cluster.ts";
import { type TestIssuer, startIssuer } from "../oidc/issuer.ts";
import { applyAuthenticator, authenticatorInPhase, inlineBundle } from "./harness/authenticators.ts";
import { type Installation, installConcierge, kubectl, tail, waitUntilServing } from "./harness/concierge.ts";
import { eventually } from "./harness/eventually.ts";
import {
  type AuthenticatorName,
  exchangeObject,
  exchangePath,
  issuedCertificate,
} from "./harness/exchange.ts";

const clientId = "narrow-test";
const authenticator: AuthenticatorName = { kind: "JWTAuthenticator", name: "company" };

describe("the narrow RBAC profile", () => {
  let cluster: Cluster;
  let installation: Installation;
  let issuer: TestIssuer;
  const name = (suffix: string): string => `lanyard-concierge-${suffix}`;
  const inNamespace = (...args: readonly string[]): Promise<string> =>
    kubectl(cluster, [...args, `--namespace=${installation.namespace}`]);
  const uid = (kind: string, suffix: string): Promise<string> =>
    inNamespace("get", kind, name(suffix), "--ignore-not-found", "--output=jsonpath={.metadata.uid}");
  const configure = (impersonationProxy: object): Promise<string> =>
    kubectl(cluster, [
      "patch",
      "credentialissuer",
      name("config"),
      "--type=merge",
      `--patch=${JSON.stringify({ spec: { impersonationProxy } })}`,
    ]);
  const login = async (): Promise<unknown> => {
    const token = await issuer.signToken({
      sub: "jane",
      username: "jane",
      exp: Math.floor(Date.now() / 1000) + 3600,
    });
    const body = JSON.stringify(exchangeObject(token, authenticator));
    return issuedCertificate(await installation.api(exchangePath, { body }));
  };

  before(async () => {
    issuer = await startIssuer({ clientId, users: [] });
    cluster = await startCluster({ name: `narrow-${process.pid}`, progress: () => {} });
    installation = await installConcierge(cluster, {
      signWithClusterCa: false,
      configuration: {
        leaderElection: { leaseDurationSeconds: 15, renewDeadlineSeconds: 10, retryPeriodSeconds: 2 },
      },
      values: ["rbac.profile=narrow"],
    });
    await waitUntilServing(installation);
  });
  after(async () => {
    await installation?.close();
    await cluster?.stop();
    await issuer?.stop();
  });

  it("is enough to lead, to publish certificates, to report and to exchange", async () => {
    await applyAuthenticator(cluster, authenticator, {
      issuer: issuer.issuerUrl,
      audience: clientId,
      tls: inlineBundle(issuer.caPem),
    });
    await authenticatorInPhase(cluster, authenticator, "Ready");
    await eventually(`an exchange\n${installation.replicas.map(tail).join("\n")}`, login, { seconds: 60 });
    for (const suffix of [
      "api-tls-serving-certificate",
      "impersonation-proxy-ca-certificate",
      "impersonation-proxy-signer-ca-certificate",
      "impersonation-proxy-token-key",
    ]) {
      assert.notEqual(await uid("secret", suffix), "", suffix);
    }
  });

  it("is enough to make, change and remove the proxy's Service and its Secrets", async () => {
    const service = "impersonation-proxy-cluster-ip";
    await configure({
      mode: "enabled",
      externalEndpoint: null,
      service: { type: "ClusterIP", annotations: { "example.com/a": "1" } },
    });
    await eventually("the Service", async () => (await uid("service", service)) !== "");
    await configure({ service: { annotations: { "example.com/a": "2" } } });
    await eventually("the changed Service", async () => {
      const object = await inNamespace("get", "service", name(service), "--output=json");
      return object.includes('"example.com/a": "2"');
    });
    await configure({ mode: "disabled" });
    await eventually("the Service's end", async () => (await uid("service", service)) === "");
    await eventually(
      "the serving certificate's end",
      async () => (await uid("secret", "impersonation-proxy-tls-serving-certificate")) === "",
    );
  });

  it("is enough to rotate, and to give the Lease up; nothing was ever forbidden", async () => {
    const before = await uid("secret", "api-tls-serving-certificate");
    await inNamespace("delete", "secret", name("api-tls-serving-certificate"));
    await eventually("another serving certificate", async () => {
      const now = await uid("secret", "api-tls-serving-certificate");
      return now !== "" && now !== before;
    });
    const [replica] = installation.replicas;
    assert.ok(replica);
    assert.equal(await replica.end(), 0);
    const holder = await inNamespace(
      "get",
      "lease",
      "lanyard-concierge",
      "--output=jsonpath={.spec.holderIdentity}",
    );
    assert.equal(holder, "");
    assert.doesNotMatch(replica.log(), /forbidden/i);
  });

  it("forbids what it does not name", async () => {
    const may = async (verb: string, what: string): Promise<string> =>
      (
        await cluster.kubectl([
          "auth",
          "can-i",
          verb,
          what,
          `--namespace=${installation.namespace}`,
          `--as=system:serviceaccount:${installation.namespace}:lanyard-concierge`,
        ])
      ).stdout.trim();
    for (const [verb, what, answer] of [
      ["update", "secrets/somebody-elses", "no"],
      ["delete", "secrets/somebody-elses", "no"],
      ["delete", `secrets/${name("impersonation-proxy-ca-certificate")}`, "yes"],
      ["delete", "services/somebody-elses", "no"],
      ["update", "leases.coordination.k8s.io/somebody-elses", "no"],
      ["update", "apiservices.apiregistration.k8s.io/v1.apps", "no"],
      ["update", "apiservices.apiregistration.k8s.io/v1alpha1.login.concierge.pinniped.dev", "yes"],
      ["delete", "deployments.apps/lanyard-concierge", "no"],
      ["delete", "deployments.apps/lanyard-concierge-kube-cert-agent", "yes"],
    ] as const) {
      assert.equal(await may(verb, what), answer, `${verb} ${what}`);
    }
  });
});
