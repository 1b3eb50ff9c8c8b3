import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { administrator, frontProxy } from "./harness/callers.ts";
import { kubectl } from "./harness/concierge.ts";
import { createTestPki } from "./harness/certificates.ts";
import { eventually } from "./harness/eventually.ts";
import { type SeenUser, seenUser, whoAmIBody, whoAmIPath } from "./harness/exchange.ts";
import type { Answer, Caller } from "./harness/http.ts";
import type { ProxyClient } from "./harness/proxy.ts";
import { grant, type ProxyWorld, readConfigMaps, startProxyWorld } from "./harness/proxy-world.ts";

const configMaps = "/api/v1/namespaces/kube-system/configmaps";
const base = "decision made by impersonation-proxy.concierge.pinniped.dev";
const credentialId = "authentication.kubernetes.io/credential-id";
const originalUserInfo = "original-user-info.impersonation-proxy.concierge.pinniped.dev";
const unauthorized =
  '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}\n';

/** The contract's name of a certificate (7.3). */
function credentialIdOf(pem: string): string {
  return `X509SHA256=${createHash("sha256").update(new X509Certificate(pem).raw).digest("hex")}`;
}

interface Status {
  readonly message: string;
  readonly reason?: string;
  readonly code: number;
}

const statusOf = (answer: Answer): Status => JSON.parse(answer.text) as Status;

describe("requests through the impersonation proxy", () => {
  let world: ProxyWorld;
  let proxy: ProxyClient;
  let jane: Caller;
  let admin: Caller;

  before(async () => {
    world = await startProxyWorld({ name: "proxy-requests" });
    ({ proxy } = world);
    admin = administrator(world.cluster);
    jane = await world.login("jane", ["apes"]);
    await grant(world.cluster, "test-apes", { kind: "Group", name: "apes" }, readConfigMaps);
    await grant(world.cluster, "test-impersonators", { kind: "User", name: "imp" }, [
      { apiGroups: [""], resources: ["users", "groups", "serviceaccounts"], verbs: ["impersonate"] },
      {
        apiGroups: ["authentication.k8s.io"],
        resources: ["userextras/example.com/team", "uids"],
        verbs: ["impersonate"],
      },
    ]);
  });
  after(async () => {
    await world?.stop();
  });

  const whoAmI = (caller: Caller, headers: Record<string, string | string[]> = {}): Promise<Answer> =>
    proxy.call(whoAmIPath, { body: whoAmIBody, caller, headers });
  const seen = async (caller: Caller, headers: Record<string, string | string[]> = {}): Promise<SeenUser> =>
    seenUser(await whoAmI(caller, headers));

  async function serviceAccount(name: string): Promise<{ readonly uid: string }> {
    await kubectl(world.cluster, ["create", "serviceaccount", name, "--namespace=default"]);
    return {
      uid: await kubectl(world.cluster, [
        "get",
        "serviceaccount",
        name,
        "--namespace=default",
        "--output=jsonpath={.metadata.uid}",
      ]),
    };
  }
  const token = async (name: string, ...more: string[]): Promise<Caller> => ({
    bearerToken: (
      await kubectl(world.cluster, ["create", "token", name, "--namespace=default", ...more])
    ).trim(),
  });

  it("are made as the user of the certificate, with that user's rights and no others", async () => {
    for (const each of [
      proxy.call(configMaps, { caller: jane }),
      proxy.callHttp2(configMaps, { caller: jane }),
    ]) {
      const answer = await each;
      assert.equal(answer.status, 200, answer.text);
      assert.equal((JSON.parse(answer.text) as { kind: string }).kind, "ConfigMapList");
    }
    const secret = await proxy.call("/api/v1/namespaces/kube-system/secrets/bar", { caller: jane });
    assert.equal(secret.status, 403);
    assert.equal(
      statusOf(secret).message,
      `secrets "bar" is forbidden: User "jane" cannot get resource "secrets" in API group "" in the namespace "kube-system": ${base}`,
    );
    // The kube-apiserver itself does not know this certificate.
    assert.equal((await world.installation.api(configMaps, { caller: jane })).status, 401);
    assert.deepEqual(await seen(jane), {
      username: "jane",
      groups: ["apes", "system:authenticated"],
      extra: { [credentialId]: [credentialIdOf(jane.certificatePem ?? "")] },
    });
  });

  it("are made as the users of the cluster's CA and of the front proxy, too", async () => {
    const user = await seen(admin);
    assert.equal(user.username, "kubernetes-admin");
    assert.deepEqual(user.groups, ["kubeadm:cluster-admins", "system:authenticated"]);
    assert.deepEqual(user.extra, { [credentialId]: [credentialIdOf(admin.certificatePem ?? "")] });
    assert.deepEqual(
      await seen(frontProxy(world.cluster), {
        "X-Remote-User": "behind",
        "X-Remote-Group": ["one", "two"],
        "X-Remote-Extra-example.com%2fteam": "x",
      }),
      {
        username: "behind",
        groups: ["one", "two", "system:authenticated"],
        extra: { "example.com/team": ["x"] },
      },
    );
  });

  it("with nothing to show are anonymous where the kube-apiserver lets in anonymous users", async () => {
    assert.deepEqual(await seen({}), { username: "system:anonymous", groups: ["system:unauthenticated"] });
    assert.equal((await proxy.call("/healthz")).text, "ok");
    const denied = await proxy.call("/healthz/log");
    assert.equal(
      denied.text,
      `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"forbidden: User \\"system:anonymous\\" cannot get path \\"/healthz/log\\": ${base}","reason":"Forbidden","details":{},"code":403}\n`,
    );
  });

  it("with something bad to show are refused, also where good would not be needed", async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "lanyard-proxy-requests-"));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const pki = createTestPki(folder);
    const stranger = pki.clientCertificate(pki.authority("stranger"), "/CN=jane/O=apes");
    for (const caller of [{ bearerToken: "nobody's" }, stranger]) {
      for (const path of ["/version", configMaps]) {
        const answer = await proxy.call(path, { caller });
        assert.equal(answer.status, 401);
        assert.equal(answer.text, unauthorized);
      }
    }
    // A bad certificate does not spoil a good token.
    await serviceAccount("good");
    const both = { ...stranger, ...(await token("good")) };
    assert.equal((await seen(both)).username, "system:serviceaccount:default:good");
  });

  it("of ServiceAccounts, who have a UID, go on with the ServiceAccount's own token", async () => {
    const { uid } = await serviceAccount("legacy");
    await kubectl(
      world.cluster,
      ["apply", "--filename=-"],
      JSON.stringify({
        apiVersion: "v1",
        kind: "Secret",
        type: "kubernetes.io/service-account-token",
        metadata: {
          name: "legacy-token",
          namespace: "default",
          annotations: { "kubernetes.io/service-account.name": "legacy" },
        },
      }),
    );
    const legacy = await eventually("a legacy token", async () => {
      const data = await kubectl(world.cluster, [
        "get",
        "secret",
        "legacy-token",
        "--namespace=default",
        "--output=jsonpath={.data.token}",
      ]);
      return data === "" ? undefined : { bearerToken: Buffer.from(data, "base64").toString() };
    });
    const groups = ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"];
    assert.deepEqual(await seen(legacy), { username: "system:serviceaccount:default:legacy", groups });

    // A CertificateSigningRequest keeps its maker's UID: it was the ServiceAccount who asked, not the proxy for it.
    await grant(world.cluster, "test-csr", { kind: "Group", name: "system:serviceaccounts:default" }, [
      { apiGroups: ["certificates.k8s.io"], resources: ["certificatesigningrequests"], verbs: ["create"] },
    ]);
    const fresh = await token("legacy");
    const created = await eventually("the right to make CertificateSigningRequests", async () => {
      const answer = await proxy.call("/apis/certificates.k8s.io/v1/certificatesigningrequests", {
        caller: fresh,
        body: JSON.stringify({
          apiVersion: "certificates.k8s.io/v1",
          kind: "CertificateSigningRequest",
          metadata: { generateName: "uid-" },
          spec: {
            signerName: "example.com/none",
            usages: ["client auth"],
            request: Buffer.from(certificateRequest).toString("base64"),
          },
        }),
      });
      if (answer.status !== 201) {
        throw new Error(answer.text);
      }
      return JSON.parse(answer.text) as {
        readonly spec: { readonly uid?: string; readonly username: string };
      };
    });
    assert.equal(created.spec.uid, uid);
    assert.equal(created.spec.username, "system:serviceaccount:default:legacy");
  });

  it("of ServiceAccounts with a token bound to a Pod show the Pod, and are refused for another audience", async () => {
    const { cluster } = world;
    const { uid } = await serviceAccount("bound");
    assert.notEqual(uid, "");
    const objects = [
      { apiVersion: "v1", kind: "Node", metadata: { name: "some-node" } },
      {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name: "some-pod", namespace: "default" },
        spec: {
          serviceAccountName: "bound",
          nodeName: "some-node",
          containers: [{ name: "none", image: "none" }],
        },
      },
    ];
    for (const object of objects) {
      await kubectl(cluster, ["create", "--filename=-"], JSON.stringify(object));
    }
    const boundToken = await token("bound", "--bound-object-kind=Pod", "--bound-object-name=some-pod");
    const user = await seen(boundToken);
    const uidOf = (object: string): Promise<string> =>
      kubectl(cluster, ["get", object, "--namespace=default", "--output=jsonpath={.metadata.uid}"]);
    const { [credentialId]: ids, ...extra } = user.extra ?? {};
    assert.equal(user.username, "system:serviceaccount:default:bound");
    assert.deepEqual(extra, {
      "authentication.kubernetes.io/node-name": ["some-node"],
      "authentication.kubernetes.io/node-uid": [await uidOf("node/some-node")],
      "authentication.kubernetes.io/pod-name": ["some-pod"],
      "authentication.kubernetes.io/pod-uid": [await uidOf("pod/some-pod")],
    });
    assert.match(ids?.join() ?? "", /^JTI=[0-9a-f-]{36}$/);
    const elsewhere = await whoAmI(await token("bound", "--audience=elsewhere"));
    assert.equal(elsewhere.status, 401);
    assert.equal(elsewhere.text, unauthorized);
    // Nested, such a user has no UID, and impersonation carries the rest.
    const imp = await grantServiceAccount("bound");
    assert.equal((await seen(imp, { "Impersonate-User": "somebody" })).username, "somebody");
    const nestedUid = await whoAmI(imp, { "Impersonate-User": "somebody", "Impersonate-Uid": "1" });
    assert.equal(nestedUid.status, 500);
    assert.equal(
      statusOf(nestedUid).message,
      "Internal error occurred: unimplemented functionality - unable to act as current user",
    );
  });

  async function grantServiceAccount(name: string): Promise<Caller> {
    const caller = await token(name);
    await grant(
      world.cluster,
      `test-${name}`,
      { kind: "User", name: `system:serviceaccount:default:${name}` },
      [
        { apiGroups: [""], resources: ["users"], verbs: ["impersonate"] },
        { apiGroups: ["authentication.k8s.io"], resources: ["uids"], verbs: ["impersonate"] },
      ],
    );
    return caller;
  }

  it("that impersonate carry who was there at first, and nothing of what that one had", async () => {
    const imp = await world.login("imp", ["keepers"]);
    const original = {
      username: "imp",
      groups: ["keepers", "system:authenticated"],
      extra: { [credentialId]: [credentialIdOf(imp.certificatePem)] },
    };
    assert.deepEqual(await seen(imp, { "Impersonate-User": "system:serviceaccount:kube-system:bob" }), {
      username: "system:serviceaccount:kube-system:bob",
      groups: ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"],
      extra: { [originalUserInfo]: [JSON.stringify(original)] },
    });
    const byAdmin = await seen(admin, {
      "impersonate-user": "other",
      "IMPERSONATE-GROUP": ["g1", "g2"],
      "Impersonate-Extra-Example.com%2Fteam": ["<&>", "second"],
    });
    assert.deepEqual(byAdmin.username, "other");
    assert.deepEqual(byAdmin.groups, ["g1", "g2", "system:authenticated"]);
    assert.deepEqual(Object.keys(byAdmin.extra ?? {}).toSorted(), ["example.com/team", originalUserInfo]);
    assert.deepEqual(byAdmin.extra?.["example.com/team"], ["<&>", "second"]);
    assert.match(byAdmin.extra?.[originalUserInfo]?.[0] ?? "", /^\{"username":"kubernetes-admin","groups":/);
  });

  it("that impersonate without the right, or in ways that cannot be, get the contract's words", async () => {
    const path = "/api/v1/namespaces/foo/secrets/bar";
    const refusal = async (headers: Record<string, string>, caller = jane): Promise<[number, string]> => {
      const { status, text } = await proxy.call(path, { caller, headers });
      return [status, text.startsWith("{") ? (JSON.parse(text) as Status).message : text];
    };
    const cannot = (what: string, resource: string, group: string, where: string): string =>
      `${what} is forbidden: User "jane" cannot impersonate resource "${resource}" in API group "${group}" ${where}: ${base}`;
    assert.deepEqual(await refusal({ "Impersonate-User": "other" }), [
      403,
      cannot('users "other"', "users", "", "at the cluster scope"),
    ]);
    assert.deepEqual(await refusal({ "Impersonate-User": "system:serviceaccount:ns:sa" }), [
      403,
      cannot('serviceaccounts "sa"', "serviceaccounts", "", 'in the namespace "ns"'),
    ]);
    const imp = await world.login("imp");
    assert.deepEqual(await refusal({ "Impersonate-User": "x", "Impersonate-Extra-other": "v" }, imp), [
      403,
      `userextras.authentication.k8s.io "v" is forbidden: User "imp" cannot impersonate resource "userextras/other" in API group "authentication.k8s.io" at the cluster scope: ${base}`,
    ]);
    assert.deepEqual(await refusal({ "Impersonate-Uid": "some-awesome-uid" }, admin), [
      500,
      `Internal Server Error: "${path}": requested [{UID  some-awesome-uid  authentication.k8s.io/v1  }] without impersonating a user\n`,
    ]);
    assert.deepEqual(await refusal({ "Impersonate-Foo": "x" }, admin), [
      500,
      "Internal error occurred: invalid impersonation",
    ]);
    const masters = { "Impersonate-User": "x", "Impersonate-Group": "kubeadm:cluster-admins" };
    assert.deepEqual(await refusal({ ...masters, "Impersonate-Uid": "1" }, admin), [
      500,
      "Internal error occurred: unimplemented functionality - unable to act as current user",
    ]);
  });

  it("of users with 2,000 groups pass on HTTP/1.1 and HTTP/2; above 1 MiB of headers they are a 431", async () => {
    const caller = frontProxy(world.cluster);
    const groups = Array.from({ length: 2000 }, (_, index) => `group-${String(index).padStart(32, "0")}`);
    const headers = { "X-Remote-User": "many", "X-Remote-Group": groups };
    for (const answer of [
      await proxy.call(whoAmIPath, { body: whoAmIBody, caller, headers }),
      await proxy.callHttp2(whoAmIPath, { body: whoAmIBody, caller, headers }),
    ]) {
      assert.deepEqual(seenUser(answer).groups, [...groups, "system:authenticated"]);
    }
    // The same value again and again costs an HTTP/2 client a byte each, and us all of them.
    const tooMuch = { "X-Large": Array.from({ length: 400 }, () => "x".repeat(3_000)) };
    assert.equal((await proxy.callHttp2("/version", { caller: jane, headers: tooMuch })).status, 431);
    assert.equal((await proxy.call("/version", { caller: jane, headers: tooMuch })).status, 431);
    assert.equal((await proxy.call("/version", { caller: jane })).status, 200);
  });

  it("are a 403 of the kube-apiserver when the proxy may not impersonate, never an answer as the proxy", async () => {
    const { cluster, installation } = world;
    const roles = JSON.parse(await kubectl(cluster, ["get", "clusterroles", "--output=json"])) as {
      items: { metadata: { name: string; resourceVersion?: string }; rules?: { verbs: string[] }[] }[];
    };
    const role = roles.items.find(
      ({ metadata, rules }) =>
        metadata.name.startsWith(installation.app) &&
        rules?.some(({ verbs }) => verbs.includes("impersonate")),
    );
    assert.ok(role !== undefined, "no ClusterRole of the chart lets the proxy impersonate");
    const without = {
      ...role,
      rules: role.rules?.filter(({ verbs }) => !verbs.includes("impersonate")),
    };
    const replaceRole = (object: typeof role): Promise<string> => {
      delete object.metadata.resourceVersion;
      return kubectl(cluster, ["replace", "--filename=-"], JSON.stringify(object));
    };
    await replaceRole(without as typeof role);
    try {
      const refused = await eventually("the kube-apiserver's refusal", async () => {
        const answer = await proxy.call(configMaps, { caller: jane });
        return answer.status === 200 ? undefined : answer;
      });
      assert.equal(refused.status, 403);
      assert.match(statusOf(refused).message, /cannot impersonate resource "(users|groups)"/);
      assert.ok(!refused.text.includes(base), "it is our own refusal");
      // What the proxy's own ServiceAccount could read is not read for jane either.
      for (const path of ["/api/v1/namespaces", configMaps]) {
        assert.equal((await proxy.call(path, { caller: jane })).status, 403);
      }
    } finally {
      await replaceRole(role);
    }
    await eventually("jane's rights again", async () => {
      const { status } = await proxy.call(configMaps, { caller: jane });
      return status === 200;
    });
  });
});

describe("requests through the impersonation proxy of a cluster without anonymous users", () => {
  let world: ProxyWorld;

  before(async () => {
    world = await startProxyWorld({ name: "proxy-named", apiServerArgs: ["--anonymous-auth=false"] });
  });
  after(async () => {
    await world?.stop();
  });

  it("are refused without anything to show, but for the exchange", async () => {
    const { proxy } = world;
    for (const [path, body] of [
      ["/healthz", undefined],
      ["/version", undefined],
      [configMaps, undefined],
      [whoAmIPath, whoAmIBody],
    ] as const) {
      const answer = await proxy.call(path, { body });
      assert.equal(answer.status, 401, path);
      assert.equal(answer.text, unauthorized);
    }
    const exchanged = await world.postThroughProxy(await world.idToken("jane", ["apes"]));
    assert.match(exchanged.text, /clientCertificateData/);
    const jane = await world.login("jane", ["apes"]).catch(() => undefined);
    // Straight at the kube-apiserver nobody is let in to log in: the proxy is the only way.
    assert.equal(jane, undefined);
  });
});

/** A PKCS#10 request that openssl made; its key is nobody's. */
const certificateRequest = `-----BEGIN CERTIFICATE REQUEST-----
MIHNMHUCAQAwEzERMA8GA1UEAwwIc29tZWJvZHkwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAR3Q9ghzqPmPacMNd1XqrC413q/lhNNwil0VHzFlJqaUWTMYngsQZxS
V7vzCCMrG+aAE3almwE0ab+RljAMV/xXoAAwCgYIKoZIzj0EAwIDSAAwRQIgHesT
ImI1er9/AECvY5Win3nOtzc/UM+8gbSiCyHEUb8CIQD4RlOMzvoaLOBxkBDaKmWK
8mk0BO2vXLhdrNE4CYoZXA==
-----END CERTIFICATE REQUEST-----
`;
