import { join } from "node:path";

import { ensureGoProgram, isExecutable, smallProgram, toStderr } from "./go-program.ts";
import type { GoProgram, Progress } from "./go-program.ts";

/** Which of the supported Kubernetes versions a cluster runs: the one of every CI run, or an end of the range. */
export type KubernetesRelease = "ci" | "oldest" | "newest";

/** The supported range is 1.33 to 1.36; each release is one Go module file of hack/kubernetes, for one `main.go`. */
export const kubernetesVersions: Readonly<Record<KubernetesRelease, string>> = {
  ci: "1.34.4",
  oldest: "1.33.13",
  newest: "1.36.3",
};

function kubernetes(release: KubernetesRelease): GoProgram {
  const version = kubernetesVersions[release];
  const [major = "", minor = ""] = version.split(".");
  const module = release === "ci" ? "go" : release;
  return {
    name: "kubernetes",
    title: `Kubernetes v${version}`,
    hint: " (about 10 minutes on 2 cores)",
    folder: join(import.meta.dirname, "..", "kubernetes"),
    package: ".",
    modfile: `${module}.mod`,
    sources: [`${module}.mod`, `${module}.sum`, "main.go"],
    ldflags:
      `-s -w -X k8s.io/component-base/version.gitVersion=v${version} -X k8s.io/component-base/version.gitMajor=${major} ` +
      `-X k8s.io/component-base/version.gitMinor=${minor} -X k8s.io/component-base/version.gitTreeState=clean ` +
      `-X k8s.io/client-go/pkg/version.gitVersion=v${version}`,
  };
}

const helm: GoProgram = {
  name: "helm",
  title: "Helm v3.20.2",
  hint: " (about 2 minutes on 2 cores)",
  folder: join(import.meta.dirname, "..", "helm3"),
  package: "helm.sh/helm/v3/cmd/helm",
  sources: ["go.mod", "go.sum"],
  ldflags: "-s -w -X helm.sh/helm/v3/internal/version.version=v3.20.2",
};

const helm4: GoProgram = {
  name: "helm4",
  title: "Helm v4.1.4",
  hint: " (about 2 minutes on 2 cores)",
  folder: join(import.meta.dirname, "..", "helm4"),
  package: "helm.sh/helm/v4/cmd/helm",
  sources: ["go.mod", "go.sum"],
  ldflags: "-s -w -X helm.sh/helm/v4/internal/version.version=v4.1.4",
};

/** The Kubernetes programs in one binary; its first argument or argv[0] selects one. Built when it is not there yet. */
export function ensureKubernetes(
  progress: Progress = toStderr,
  release: KubernetesRelease = "ci",
): Promise<string> {
  return ensureGoProgram(kubernetes(release), progress);
}

/** Helm 3. Built when it is not there yet. */
export function ensureHelm(progress: Progress = toStderr): Promise<string> {
  return ensureGoProgram(helm, progress);
}

/** Helm 4. Built when it is not there yet. */
export function ensureHelm4(progress: Progress = toStderr): Promise<string> {
  return ensureGoProgram(helm4, progress);
}

/** A static program that sleeps and reaps: the sandbox image of the node tier. */
export function ensurePause(progress: Progress = toStderr): Promise<string> {
  return ensureGoProgram(smallProgram("pause", join(import.meta.dirname, "pause")), progress);
}

/** The static entry of our server image. */
export function ensureLauncher(progress: Progress = toStderr): Promise<string> {
  return ensureGoProgram(
    smallProgram("launcher", join(import.meta.dirname, "..", "image", "launcher")),
    progress,
  );
}

/**
 * The path of a Kubernetes program for the control plane: the one in `$KUBEBUILDER_ASSETS` when it is there and no end
 * of the range is asked for, else the built binary, which takes the program's name as its first argument or argv[0].
 */
export async function controlPlaneProgram(
  name: string,
  progress: Progress = toStderr,
  release: KubernetesRelease = "ci",
): Promise<string> {
  const assets = process.env["KUBEBUILDER_ASSETS"];
  if (release === "ci" && assets !== undefined && assets !== "") {
    const path = join(assets, name);
    if (isExecutable(path)) return path;
  }
  return ensureKubernetes(progress, release);
}
