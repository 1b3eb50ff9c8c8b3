import { writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import {
  installConcierge,
  kubectl,
  tail,
  waitUntilServing,
} from "../../test/integration/harness/concierge.ts";
import { readText } from "../../test/integration/harness/http.ts";
import { ensureHelm, ensureKubernetes } from "../cluster/binaries.ts";
import { type Cluster, startCluster } from "../cluster/cluster.ts";
import { type Certificate, describeCertificate } from "./exchange.ts";
import { DemoFailure } from "./failure.ts";
import {
  AUTHENTICATOR,
  exchangeForCertificate,
  GROUPS,
  jwtAuthenticator,
  logIn,
  showRefusals,
  startDemoIssuer,
} from "./issuer.ts";
import type { Run } from "./run-to-the-end.ts";
import { createStory, type Story } from "./story.ts";

/** The main job with a real Kubernetes: through its kube-apiserver, and then kubectl as the user (clarification 37). */
export async function demonstrateCluster(run: Run): Promise<void> {
  // Minutes on the first run, and nothing to clean up: before the cluster starts.
  await ensureKubernetes();
  await ensureHelm();
  const story = createStory();
  story.say("Lanyard logs people into a Kubernetes cluster with certificates that live five minutes.");

  const cluster = await run.start(
    () => startCluster({ name: `demo-${process.pid}` }),
    (started) => started.stop(),
  );
  story.step("A real Kubernetes runs on this machine: etcd, kube-apiserver, controller manager.", {
    server: cluster.serverUrl,
  });
  const folder = await run.start(
    () => mkdtemp(join(tmpdir(), "lanyard-demo-")),
    (path) => rm(path, { recursive: true, force: true }),
  );
  // Whatever is interrupted halfway leaves its temporary files where they go with ours.
  process.env["TMPDIR"] = folder;
  const installation = await run.start(
    () => installConcierge(cluster),
    (installed) => installed.close(),
  );
  try {
    await waitUntilServing(installation);
    story.step("Lanyard is installed by its Helm chart; the signing Secret holds the cluster's own CA.", {
      process: "runs beside the cluster with its ServiceAccount's token and no other right",
      APIs: "login.concierge.pinniped.dev and identity.concierge.pinniped.dev are Available",
    });

    const issuer = await startDemoIssuer(run);
    await trust(cluster, jwtAuthenticator(issuer));
    story.step("An OpenID Connect issuer runs beside it, and the cluster was told to trust it.", {
      issuer: issuer.issuerUrl,
      "kubectl apply": `JWTAuthenticator "${AUTHENTICATOR}", Ready`,
    });

    const token = await logIn(issuer, story);
    const server = { server: cluster.serverUrl, caPem: readText(cluster.ca.cert) };
    const certificate = await exchangeForCertificate(server, token);
    story.step(
      "The kube-apiserver passed the token on to Lanyard, which answered with a client certificate.",
      describeCertificate(certificate),
    );

    await letGroupSeeNamespaces(cluster);
    const kubeconfig = join(folder, "kubeconfig");
    writeFileSync(kubeconfig, stringify(kubeconfigOf(cluster, certificate)), { mode: 0o600 });
    story.step(
      `A kubeconfig with that certificate, for a user whose group "${GROUPS[0]}" may see namespaces:`,
    );
    await showAsUser(cluster, kubeconfig, ["get", "namespaces"], story);
    await showAsUser(cluster, kubeconfig, ["auth", "whoami"], story);
    await showRefusals(server, issuer, story);
  } catch (error) {
    const log = installation.replicas.map(tail).join("\n");
    throw error instanceof Error ? new DemoFailure(error.message, { log, cause: error }) : error;
  }
  story.say(`\nAll as it should be, in ${story.elapsed()}. The cluster is taken down now.`);
}

async function trust(cluster: Cluster, manifest: object): Promise<void> {
  await kubectl(cluster, ["apply", "--filename=-"], JSON.stringify(manifest));
  await kubectl(cluster, [
    "wait",
    "--for=jsonpath={.status.phase}=Ready",
    "--timeout=60s",
    `jwtauthenticator/${AUTHENTICATOR}`,
  ]);
}

async function letGroupSeeNamespaces(cluster: Cluster): Promise<void> {
  const name = "demo-namespace-viewer";
  await kubectl(cluster, ["create", "clusterrole", name, "--verb=get,list,watch", "--resource=namespaces"]);
  await kubectl(cluster, [
    "create",
    "clusterrolebinding",
    name,
    `--clusterrole=${name}`,
    `--group=${GROUPS[0]}`,
  ]);
}

function kubeconfigOf(cluster: Cluster, { certificatePem, privateKeyPem }: Certificate): object {
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  return {
    apiVersion: "v1",
    kind: "Config",
    clusters: [
      {
        name: "demo",
        cluster: {
          server: cluster.serverUrl,
          "certificate-authority-data": base64(readText(cluster.ca.cert)),
        },
      },
    ],
    users: [
      {
        name: "demo",
        user: {
          "client-certificate-data": base64(certificatePem),
          "client-key-data": base64(privateKeyPem),
        },
      },
    ],
    contexts: [{ name: "demo", context: { cluster: "demo", user: "demo" } }],
    "current-context": "demo",
  };
}

async function showAsUser(
  cluster: Cluster,
  kubeconfig: string,
  args: readonly string[],
  story: Story,
): Promise<void> {
  const { code, stdout, stderr } = await cluster.exec(["kubectl", `--kubeconfig=${kubeconfig}`, ...args]);
  if (code !== 0) {
    throw new DemoFailure(`kubectl ${args.join(" ")} failed as the user: ${stderr.trim()}`);
  }
  story.say(`     $ kubectl ${args.join(" ")}`);
  story.say(stdout.trimEnd().replaceAll(/^/gm, "       "));
}
