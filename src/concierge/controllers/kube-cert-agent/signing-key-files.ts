import type { Pod } from "../../../kube/resources.ts";

/** Where a kube-controller-manager reads the cluster's signing certificate and key, as its containers see the files. */
export interface SigningKeyFiles {
  readonly certificate: string;
  readonly key: string;
}

/** From the flags of the Pod's containers, or where they are by custom (contract 6.5). */
export function signingKeyFiles(pod: Pod): SigningKeyFiles {
  const path = (kind: "cert" | "key", otherwise: string): string =>
    flagValue(pod, `cluster-signing-${kind}-file`) ??
    flagValue(pod, `cluster-signing-kube-apiserver-client-${kind}-file`) ??
    otherwise;
  return {
    certificate: path("cert", "/etc/kubernetes/ca/ca.pem"),
    key: path("key", "/etc/kubernetes/ca/ca.key"),
  };
}

function flagValue(pod: Pod, name: string): string | undefined {
  for (const { command = [], args = [] } of pod.spec?.containers ?? []) {
    const value = lastValue([...command, ...args], `--${name}`);
    if (value !== undefined && value !== "") {
      return value;
    }
  }
  return undefined;
}

/** As Kubernetes' own flags: `--flag=value` or `--flag value`, the last one counts, nothing behind `--`. */
function lastValue(words: readonly string[], flag: string): string | undefined {
  const end = words.indexOf("--");
  const flags = end < 0 ? words : words.slice(0, end);
  let found: string | undefined;
  flags.forEach((word, index) => {
    if (word === flag) {
      found = flags[index + 1];
    } else if (word.startsWith(`${flag}=`)) {
      found = word.slice(flag.length + 1);
    }
  });
  return found;
}
