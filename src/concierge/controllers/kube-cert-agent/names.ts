/** The controller's name in logs and metrics (contract 6.1). */
export const KUBE_CERT_AGENT_CONTROLLER = "kube-cert-agent-controller";
/** The strategy's type in the CredentialIssuer's status (contract 5.2). */
export const STRATEGY_TYPE = "KubeClusterSigningCertificate";
