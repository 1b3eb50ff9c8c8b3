import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash, X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { parse } from "yaml";

import { type Cluster, startCluster } from "../../hack/cluster/cluster.ts";
import { createTestPki } from "./harness/certificates.ts";
import { administrator, frontProxy, type StraightCall, straightAt } from "./harness/callers.ts";
import { type Installation, installConcierge, kubectl, waitUntilServing } from "./harness/concierge.ts";
import { eventually } from "./harness/eventually.ts";
import {
  exchangePath,
  identityGroup,
  loginGroup,
  seenUser,
  whoAmI,
  whoAmIBody,
  whoAmIPath,
} from "./harness/exchange.ts";
import { type Caller, readText } from "./harness/http.ts";

const groups = [loginGroup, identityGroup] as const;
const kinds = [
  { group: loginGroup, kind: "TokenCredentialRequest", plural: "tokencredentialrequests" },
  { group: identityGroup, kind: "WhoAmIRequest", plural: "whoamirequests" },
] as const;
interface Definition {
  readonly "x-kubernetes-group-version-kind"?: readonly {
    readonly group: string;
    readonly version: string;
    readonly kind: string;
  }[];
}

const account = "system:serviceaccount:concierge:lanyard-concierge";

describe("the aggregated API behind a real kube-apiserver", () => {
  let cluster: Cluster;
  let concierge: Installation;
  let straight: StraightCall;
  /** What the kube-apiserver sends when a user calls. */
  const through = (username: string, ...remoteGroups: string[]) => ({
    caller: frontProxy(cluster),
    headers: { "x-remote-user": username, "x-remote-group": remoteGroups },
  });

  before(async () => {
    cluster = await startCluster({ name: `aggregated-api-${process.pid}`, progress: () => {} });
    concierge = await installConcierge(cluster);
    await waitUntilServing(concierge);
    straight = await straightAt(concierge, replica());
  });
  after(async () => {
    await concierge?.close();
    await cluster?.stop();
  });
  const replica = () => {
    const [first] = concierge.replicas;
    assert.ok(first);
    return first;
  };

  describe("with kubectl", () => {
    it("has both APIServices Available, with the CA that the server's certificate comes from", async () => {
      const list = JSON.parse(await kubectl(cluster, ["get", "apiservices", "--output=json"])) as {
        items: {
          metadata: { name: string };
          spec: { caBundle?: string; insecureSkipTLSVerify?: boolean };
          status: { conditions: { type: string; status: string; reason: string }[] };
        }[];
      };
      for (const group of groups) {
        const found = list.items.find(({ metadata }) => metadata.name === `v1alpha1.${group}`);
        const condition = found?.status.conditions.find(({ type }) => type === "Available");
        assert.deepEqual([condition?.status, condition?.reason], ["True", "Passed"]);
        assert.notEqual(found?.spec.insecureSkipTLSVerify, true);
        const ca = new X509Certificate(Buffer.from(found?.spec.caBundle ?? "", "base64"));
        assert.match(ca.subject, /^CN=Pinniped Aggregation CA$/);
      }
    });

    it("lists exactly these resources in api-resources", async () => {
      const rows = (
        await kubectl(cluster, ["api-resources", "--categories=pinniped", "--output=wide", "--no-headers"])
      )
        .trim()
        .split("\n")
        .map((line) => line.trim().split(/\s+/).join(" "))
        .toSorted();
      const crd = "delete,deletecollection,get,list,patch,create,update,watch";
      const authenticators = "pinniped,pinniped-authenticator,pinniped-authenticators";
      assert.deepEqual(rows, [
        `credentialissuers config.concierge.pinniped.dev/v1alpha1 false CredentialIssuer ${crd} pinniped`,
        `jwtauthenticators authentication.concierge.pinniped.dev/v1alpha1 false JWTAuthenticator ${crd} ${authenticators}`,
        `tokencredentialrequests ${loginGroup}/v1alpha1 false TokenCredentialRequest create,list pinniped`,
        `webhookauthenticators authentication.concierge.pinniped.dev/v1alpha1 false WebhookAuthenticator ${crd} ${authenticators}`,
        `whoamirequests ${identityGroup}/v1alpha1 false WhoAmIRequest create,list pinniped`,
      ]);
    });

    it("explains every field", async () => {
      for (const { plural, kind } of kinds) {
        for (const flags of [[], ["--output=plaintext-openapiv2"]]) {
          const { code, stdout, stderr } = await cluster.kubectl([
            "explain",
            plural,
            "--recursive",
            ...flags,
          ]);
          assert.equal(code, 0, stderr);
          assert.match(stdout, new RegExp(`^KIND: +${kind}$`, "m"));
          assert.doesNotMatch(stdout, /<empty>/);
        }
      }
      const fields = [
        "tokencredentialrequests.spec",
        "tokencredentialrequests.status",
        "tokencredentialrequests.spec.token",
        "tokencredentialrequests.spec.expirationSeconds",
        "tokencredentialrequests.spec.certificateSigningRequest",
        "tokencredentialrequests.status.credential.clientKeyData",
        "whoamirequests.spec",
        "whoamirequests.status.kubernetesUserInfo.user.extra",
      ];
      for (const field of fields) {
        const { code, stdout, stderr } = await cluster.kubectl(["explain", field]);
        assert.equal(code, 0, stderr);
        assert.match(stdout, /^DESCRIPTION:\n {4}\S/m);
        assert.doesNotMatch(stdout, /<empty>/);
      }
      assert.match(
        await kubectl(cluster, ["explain", "tokencredentialrequests.spec"]),
        /^ {2}token\t<string>$/m,
      );
    });

    it("answers get without an error line", async () => {
      for (const { plural, group } of kinds) {
        for (const flags of [[], ["--all-namespaces"], ["--output=wide"]]) {
          const { code, stdout, stderr } = await cluster.kubectl(["get", `${plural}.${group}`, ...flags]);
          assert.deepEqual([code, stdout, stderr], [0, "", "No resources found\n"]);
        }
      }
      const { code, stdout, stderr } = await cluster.kubectl(["get", "pinniped", "--all-namespaces"]);
      assert.deepEqual([code, stderr], [0, ""]);
      assert.match(stdout, /^credentialissuer\.config\.concierge\.pinniped\.dev\/lanyard-concierge-config /m);
      // What the category is made of, without the CRDs.
      const only = await cluster.kubectl(["get", kinds.map(({ plural }) => plural).join(",")]);
      assert.deepEqual([only.code, only.stdout, only.stderr], [0, "", "No resources found\n"]);
    });

    it("sends the list text byte for byte, and Tables", async () => {
      for (const { group, kind, plural } of kinds) {
        const path = `/apis/${group}/v1alpha1/${plural}`;
        assert.equal(
          await kubectl(cluster, ["get", "--raw", path]),
          `{"kind":"${kind}List","apiVersion":"${group}/v1alpha1","metadata":{"resourceVersion":"0"},"items":[]}\n`,
        );
        const answer = await concierge.api(path, {
          headers: { accept: "application/json;as=Table;v=v1;g=meta.k8s.io,application/json" },
          caller: administrator(cluster),
        });
        assert.equal(answer.status, 200);
        const table = JSON.parse(answer.text) as {
          columnDefinitions: readonly { name: string; type: string }[];
        };
        assert.deepEqual(
          { ...table, columnDefinitions: table.columnDefinitions.map(({ name, type }) => [name, type]) },
          {
            kind: "Table",
            apiVersion: "meta.k8s.io/v1",
            metadata: { resourceVersion: "0" },
            columnDefinitions: [
              ["Name", "string"],
              ["Created At", "date"],
            ],
            rows: [],
          },
        );
      }
    });

    it("has nothing to get, watch or delete", async () => {
      for (const { plural } of kinds) {
        for (const args of [
          ["get", plural, "name"],
          ["delete", plural, "name"],
          ["get", plural, "--watch"],
        ]) {
          const { code, stderr } = await cluster.kubectl([...args, "--request-timeout=10s"]);
          assert.equal(code, 1, `${args.join(" ")}: ${stderr}`);
        }
      }
    });
  });

  describe("discovery", () => {
    const accept = (version: string) =>
      `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`;
    const expectedVersion = ({ kind, plural }: (typeof kinds)[number]) => ({
      version: "v1alpha1",
      resources: [
        {
          resource: plural,
          responseKind: { group: "", version: "", kind },
          scope: "Cluster",
          singularResource: kind.toLowerCase(),
          verbs: ["create", "list"],
          categories: ["pinniped"],
        },
      ],
      freshness: "Current",
    });
    interface Discovery {
      readonly apiVersion: string;
      readonly items: readonly {
        readonly metadata: { readonly name: string };
        readonly versions: readonly unknown[];
      }[];
    }

    it("has the aggregated form, through the kube-apiserver and straight", async () => {
      const callers = {
        kubeAggregator: (path: string, headers: Record<string, string>) =>
          straight(path, {
            caller: frontProxy(cluster),
            headers: { "x-remote-user": "system:kube-aggregator", ...headers },
          }),
        administrator: (path: string, headers: Record<string, string>) =>
          concierge.api(path, { caller: administrator(cluster), headers }),
      };
      for (const [who, get] of Object.entries(callers)) {
        const answer = await get("/apis", { accept: accept("v2") });
        assert.equal(answer.status, 200, `${who}: ${answer.text}`);
        assert.equal(
          answer.headers["content-type"],
          "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        );
        const discovery = JSON.parse(answer.text) as Discovery;
        assert.equal(discovery.apiVersion, "apidiscovery.k8s.io/v2");
        for (const kind of kinds) {
          const found = discovery.items.find(({ metadata }) => metadata.name === kind.group);
          // The kube-apiserver fills in the group and version that the kind is in anyway.
          const versions = JSON.parse(
            JSON.stringify(found?.versions).replaceAll(
              `"group":"${kind.group}","version":"v1alpha1","kind"`,
              '"group":"","version":"","kind"',
            ),
          ) as unknown;
          assert.deepEqual(versions, [expectedVersion(kind)], who);
        }
      }
      const beta = await straight("/apis", {
        caller: frontProxy(cluster),
        headers: { "x-remote-user": "system:kube-aggregator", accept: accept("v2beta1") },
      });
      assert.equal((JSON.parse(beta.text) as Discovery).apiVersion, "apidiscovery.k8s.io/v2beta1");
    });

    it("has the legacy form, through the kube-apiserver and straight", async () => {
      for (const { group, kind, plural } of kinds) {
        const resources = {
          kind: "APIResourceList",
          apiVersion: "v1",
          groupVersion: `${group}/v1alpha1`,
          resources: [
            {
              name: plural,
              singularName: kind.toLowerCase(),
              namespaced: false,
              kind,
              verbs: ["create", "list"],
              categories: ["pinniped"],
            },
          ],
        };
        const path = `/apis/${group}/v1alpha1`;
        const behind = await straight(path, through("system:kube-aggregator", "system:masters"));
        assert.deepEqual(JSON.parse(behind.text), resources);
        assert.deepEqual(JSON.parse(await kubectl(cluster, ["get", "--raw", path])), resources);

        const version = { groupVersion: `${group}/v1alpha1`, version: "v1alpha1" };
        const single = JSON.parse((await straight(`/apis/${group}`, through("jane"))).text) as object;
        assert.deepEqual(single, {
          kind: "APIGroup",
          apiVersion: "v1",
          name: group,
          versions: [version],
          preferredVersion: version,
        });
      }
      const list = JSON.parse((await straight("/apis", through("jane"))).text) as {
        groups: { name: string }[];
      };
      assert.deepEqual(list.groups.map(({ name }) => name).toSorted(), [...groups].toSorted());
    });
  });

  describe("OpenAPI, straight", () => {
    const aggregator = (headers: Record<string, string> = {}) => ({
      caller: frontProxy(cluster),
      headers: { "x-remote-user": "system:aggregator", ...headers },
    });

    it("v2 and v3 have ETags and are not sent again to who has them", async () => {
      const index = JSON.parse((await straight("/openapi/v3", aggregator())).text) as {
        paths: Record<string, { serverRelativeURL: string }>;
      };
      const paths = ["/openapi/v2", "/openapi/v3"];
      for (const group of groups) {
        const url = index.paths[`apis/${group}/v1alpha1`]?.serverRelativeURL ?? "";
        assert.match(url, new RegExp(`^/openapi/v3/apis/${group}/v1alpha1\\?hash=[0-9A-F]+$`));
        paths.push(url);
      }
      for (const path of paths) {
        const first = await straight(path, aggregator({ accept: "application/json" }));
        assert.equal(first.status, 200, first.text);
        const { etag } = first.headers;
        assert.ok(typeof etag === "string" && /^"[0-9A-F]+"$/.test(etag), String(etag));
        const again = await straight(path, aggregator({ "if-none-match": etag }));
        assert.deepEqual([again.status, again.text], [304, ""]);
        const other = await straight(path, aggregator({ "if-none-match": '"00"' }));
        assert.deepEqual([other.status, other.text], [200, first.text]);
      }
    });

    it("is for authenticated callers only", async () => {
      assert.equal((await straight("/openapi/v2")).status, 403);
    });

    it("is merged into the cluster's own", async () => {
      const isKnown = async (path: string, wanted: (typeof kinds)[number]): Promise<boolean> => {
        const document = JSON.parse(await kubectl(cluster, ["get", "--raw", path])) as {
          definitions?: Record<string, Definition>;
          components?: { schemas: Record<string, Definition> };
        };
        return Object.values(document.definitions ?? document.components?.schemas ?? {})
          .flatMap((definition) => definition["x-kubernetes-group-version-kind"] ?? [])
          .some(
            ({ group, version, kind }) =>
              group === wanted.group && version === "v1alpha1" && kind === wanted.kind,
          );
      };
      for (const kind of kinds) {
        for (const path of ["/openapi/v2", `/openapi/v3/apis/${kind.group}/v1alpha1`]) {
          await eventually(`${kind.kind} in ${path}`, () => isKnown(path, kind));
        }
      }
    });
  });

  describe("health and metrics, straight", () => {
    it("tells its health to anybody, the checks to who may ask", async () => {
      for (const endpoint of ["healthz", "livez", "readyz"]) {
        const plain = await straight(`/${endpoint}`);
        assert.deepEqual([plain.status, plain.text], [200, "ok"]);
        const verbose = await straight(`/${endpoint}?verbose`);
        for (const check of ["ping", "log", "poststarthook/start-controllers"]) {
          assert.match(verbose.text, new RegExp(`^\\[\\+\\]${check} ok$`, "m"));
        }
        assert.match(verbose.text, new RegExp(`\n${endpoint} check passed\n$`));
        assert.equal((await straight(`/${endpoint}/log`)).status, 403);
        const allowed = await straight(`/${endpoint}/log`, { caller: administrator(cluster) });
        assert.deepEqual([allowed.status, allowed.text], [200, "ok"]);
      }
    });

    it("shows /metrics to who may see it", async () => {
      const refused = await straight("/metrics");
      assert.equal(refused.status, 403);
      assert.equal(
        refused.text,
        '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"forbidden: User \\"system:anonymous\\" cannot get path \\"/metrics\\"","reason":"Forbidden","details":{},"code":403}\n',
      );
      await kubectl(cluster, ["create", "serviceaccount", "scraper"]);
      await kubectl(cluster, [
        "create",
        "clusterrole",
        "metrics",
        "--verb=get",
        "--non-resource-url=/metrics",
      ]);
      await kubectl(cluster, [
        "create",
        "clusterrolebinding",
        "metrics",
        "--clusterrole=metrics",
        "--serviceaccount=default:scraper",
      ]);
      const bearerToken = (await kubectl(cluster, ["create", "token", "scraper"])).trim();
      const callers: Record<string, object> = {
        "a bearer": { caller: { bearerToken } },
        "the front proxy": through("kubernetes-admin", "kubeadm:cluster-admins"),
        "a certificate": { caller: administrator(cluster) },
      };
      for (const [who, options] of Object.entries(callers)) {
        const answer = await straight("/metrics", options);
        assert.equal(answer.status, 200, `${who}: ${answer.text}`);
        assert.match(answer.text, /^# TYPE \S+ (?:counter|gauge|histogram)$/m);
        assert.doesNotMatch(answer.text, new RegExp(bearerToken));
      }
      assert.equal((await straight("/metrics", through("jane", "nobodies"))).status, 403);
    });

    it("answers the version and keeps an Audit-ID", async () => {
      const version = await straight("/version", through("jane"));
      assert.equal(version.status, 200);
      assert.match(String(version.headers["audit-id"]), /^[0-9a-f-]{36}$/);
      const kept = await straight("/healthz", { headers: { "audit-id": "mine" } });
      assert.equal(kept.headers["audit-id"], "mine");
    });
  });

  describe("WhoAmIRequest (contract 3)", () => {
    const credentialId = (pem: string): string =>
      `X509SHA256=${createHash("sha256").update(new X509Certificate(pem).raw).digest("hex")}`;
    const sa = (namespace: string) => [
      "system:serviceaccounts",
      `system:serviceaccounts:${namespace}`,
      "system:authenticated",
    ];

    it("anonymous, byte for byte", async () => {
      const answer = await concierge.api(whoAmIPath, { body: whoAmIBody });
      assert.equal(answer.status, 201);
      assert.equal(
        answer.text,
        `{"kind":"WhoAmIRequest","apiVersion":"${identityGroup}/v1alpha1","metadata":{"creationTimestamp":null},"spec":{},"status":{"kubernetesUserInfo":{"user":{"username":"system:anonymous","groups":["system:unauthenticated"]}}}}\n`,
      );
    });

    it("the administrator's certificate", async () => {
      const caller = administrator(cluster);
      assert.deepEqual(await whoAmI(concierge, caller), {
        username: "kubernetes-admin",
        groups: ["kubeadm:cluster-admins", "system:authenticated"],
        extra: { "authentication.kubernetes.io/credential-id": [credentialId(caller.certificatePem ?? "")] },
      });
    });

    it("a legacy ServiceAccount token", async () => {
      await kubectl(cluster, ["create", "serviceaccount", "legacy"]);
      const secret = {
        apiVersion: "v1",
        kind: "Secret",
        type: "kubernetes.io/service-account-token",
        metadata: { name: "legacy", annotations: { "kubernetes.io/service-account.name": "legacy" } },
      };
      await kubectl(cluster, ["apply", "--filename=-"], JSON.stringify(secret));
      const token = await eventually("the legacy token", async () => {
        const found = await kubectl(cluster, ["get", "secret", "legacy", "--output=jsonpath={.data.token}"]);
        return found === "" ? undefined : Buffer.from(found, "base64").toString();
      });
      assert.deepEqual(await whoAmI(concierge, { bearerToken: token }), {
        username: "system:serviceaccount:default:legacy",
        groups: sa("default"),
      });
    });

    it("a TokenRequest token bound to a Pod on a Node", async () => {
      const node = { apiVersion: "v1", kind: "Node", metadata: { name: "nowhere" } };
      const pod = {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name: "bound" },
        spec: { nodeName: "nowhere", containers: [{ name: "none", image: "localhost/none" }] },
      };
      await kubectl(
        cluster,
        ["apply", "--filename=-"],
        JSON.stringify({ apiVersion: "v1", kind: "List", items: [node, pod] }),
      );
      const uid = (what: string) => kubectl(cluster, ["get", what, "--output=jsonpath={.metadata.uid}"]);
      const token = await kubectl(cluster, [
        "create",
        "token",
        "default",
        "--bound-object-kind=Pod",
        "--bound-object-name=bound",
      ]);
      const claims = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as {
        jti: string;
      };
      const key = (name: string) => `authentication.kubernetes.io/${name}`;
      assert.deepEqual(await whoAmI(concierge, { bearerToken: token.trim() }), {
        username: "system:serviceaccount:default:default",
        groups: sa("default"),
        extra: {
          [key("credential-id")]: [`JTI=${claims.jti}`],
          [key("node-name")]: ["nowhere"],
          [key("node-uid")]: [await uid("node/nowhere")],
          [key("pod-name")]: ["bound"],
          [key("pod-uid")]: [await uid("pod/bound")],
        },
      });
      // Extra keys come sorted, whatever order they were sent in.
      const { extra } = await whoAmI(concierge, { bearerToken: token.trim() });
      assert.deepEqual(Object.keys(extra ?? {}), Object.keys(extra ?? {}).toSorted());

      const other = await kubectl(cluster, ["create", "token", "default", "--audience=somewhere-else"]);
      const refused = await concierge.api(whoAmIPath, {
        body: whoAmIBody,
        caller: { bearerToken: other.trim() },
      });
      assert.equal(refused.status, 401);
    });

    it("somebody impersonated at the kube-apiserver", async () => {
      const seen = await whoAmI(concierge, administrator(cluster), {
        "impersonate-user": "jane",
        "impersonate-uid": "7",
        "impersonate-group": ["zebras", "apes"],
        "impersonate-extra-example.com%2fteam": ["blue", "green"],
      });
      assert.deepEqual(seen, {
        username: "jane",
        groups: ["zebras", "apes", "system:authenticated"],
        extra: { "example.com/team": ["blue", "green"] },
      });
    });
  });

  describe("who may be believed, straight at the server", () => {
    const whoStraight = async (caller: Caller, headers: Record<string, string | string[]> = {}) => {
      const answer = await straight(whoAmIPath, { body: whoAmIBody, caller, headers });
      return answer.status === 201 ? seenUser(answer) : answer.status;
    };
    const anonymous = { username: "system:anonymous", groups: ["system:unauthenticated"] };
    const claims = { "x-remote-user": "admin", "x-remote-group": "system:masters" };
    let folder: string;
    before(() => {
      folder = mkdtempSync(join(tmpdir(), "lanyard-callers-"));
    });
    after(() => rmSync(folder, { recursive: true, force: true }));
    const issued = (ca: { readonly cert: string; readonly key: string }, subject: string): Caller =>
      createTestPki(folder).clientCertificate(ca, subject);

    it("headers without a certificate are nobody's", async () => {
      assert.deepEqual(await whoStraight({}, claims), anonymous);
      assert.equal((await straight("/metrics", { headers: claims })).status, 403);
    });

    it("a certificate of the cluster's CA is its user, whatever the headers say", async () => {
      const jane = issued(cluster.ca, "/O=apes/CN=jane");
      for (const headers of [{}, claims]) {
        const seen = await whoStraight(jane, headers);
        assert.ok(typeof seen === "object");
        assert.deepEqual([seen.username, seen.groups], ["jane", ["apes", "system:authenticated"]]);
      }
    });

    it("a front proxy's certificate is one only from its own CA and with an allowed name", async () => {
      const forged = issued(cluster.ca, "/CN=front-proxy-client");
      const seen = await whoStraight(forged, claims);
      assert.ok(typeof seen === "object");
      // The certificate is the user's own, and no more than that.
      assert.equal(seen.username, "front-proxy-client");
      assert.deepEqual(seen.groups, ["system:authenticated"]);
      const misnamed = issued(cluster.frontProxyCa, "/CN=somebody-else");
      assert.equal(await whoStraight(misnamed, claims), 401);
      const real = await whoStraight(frontProxy(cluster), claims);
      assert.deepEqual(real, { username: "admin", groups: ["system:masters", "system:authenticated"] });
    });

    it("a certificate of a stranger's CA is refused", async () => {
      const stranger = createTestPki(folder).authority("stranger");
      assert.equal(await whoStraight(issued(stranger, "/CN=front-proxy-client"), claims), 401);
      assert.equal(await whoStraight(issued(stranger, "/O=system:masters/CN=kubernetes-admin")), 401);
    });

    it("a bad bearer token is refused, a certificate wins over it", async () => {
      const bearerToken = "not-a-token";
      assert.equal(await whoStraight({ bearerToken }), 401);
      const refused = await straight(exchangePath, { body: "{}", caller: { bearerToken } });
      assert.equal(
        refused.text,
        '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}\n',
      );
      const seen = await whoStraight({ ...administrator(cluster), bearerToken });
      assert.ok(typeof seen === "object" && seen.username === "kubernetes-admin");
    });
  });

  describe("its own rights", () => {
    it("has its ServiceAccount's token and nothing else", async () => {
      const config = parse(readFileSync(concierge.kubeconfig, "utf8")) as {
        users: { name: string; user: Record<string, unknown> }[];
      };
      assert.deepEqual(config.users, [
        { name: account, user: { tokenFile: `${concierge.kubeconfig}.token` } },
      ]);
      const token = readText(`${concierge.kubeconfig}.token`);
      const claims = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as {
        sub: string;
      };
      assert.equal(claims.sub, account);
      const { pid } = replica().process;
      const environment = readFileSync(`/proc/${pid}/environ`, "utf8")
        .split("\0")
        .filter((entry) => entry !== "");
      assert.deepEqual(
        environment.map((entry) => entry.split("=")[0]),
        ["PATH"],
      );
      const open = spawnSync("ls", ["-l", `/proc/${pid}/fd`], { encoding: "utf8" }).stdout;
      assert.doesNotMatch(open, /admin\.conf|\.key/);
    });

    it("may not do just anything", async () => {
      const canI = async (...args: string[]) =>
        (await cluster.kubectl(["auth", "can-i", ...args, `--as=${account}`])).stdout.trim();
      assert.equal(await canI("*", "*"), "no");
      for (const resource of ["secrets", "pods", "configmaps"]) {
        assert.equal(await canI("list", resource, "--all-namespaces"), "no", resource);
      }
      for (const resource of [
        "users",
        "groups",
        "serviceaccounts",
        "userextras.authentication.k8s.io/scopes",
      ]) {
        assert.equal(await canI("impersonate", resource), "no", resource);
      }
      assert.equal(await canI("create", "jwtauthenticators.authentication.concierge.pinniped.dev"), "no");
      assert.equal(await canI("update", "jwtauthenticators.authentication.concierge.pinniped.dev"), "no");
      assert.equal(await canI("create", "clusterrolebindings.rbac.authorization.k8s.io"), "no");
      // The question itself is understood.
      assert.equal(
        await canI(
          "update",
          "jwtauthenticators.authentication.concierge.pinniped.dev",
          "--subresource=status",
        ),
        "yes",
      );
    });
  });
});
