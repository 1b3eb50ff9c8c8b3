import { generateKeyPair } from "jose";
import type { TestIssuer } from "../../test/oidc/issuer.ts";
import { AUTHENTICATION, type Certificate, exchange, type Server, tokenDigest } from "./exchange.ts";
import { DemoFailure } from "./failure.ts";
import type { Run } from "./run-to-the-end.ts";
import type { Story } from "./story.ts";

/** The user of the story. */
export const USERNAME = "ann@example.com";
export const GROUPS = ["developers", "on-call"] as const;
export const AUTHENTICATOR = "demo-issuer";

/** A real OpenID Connect issuer on loopback that knows one user. */
export async function startDemoIssuer(run: Run): Promise<TestIssuer> {
  const warn = console.warn;
  // The provider's library warns of Node versions that it does not know, at import, and of its memory store: no concern here.
  console.warn = () => {};
  try {
    const { startIssuer } = await import("../../test/oidc/issuer.ts");
    const users = [{ username: USERNAME, groups: GROUPS }];
    return await run.start(
      () => startIssuer({ users }),
      (issuer) => issuer.stop(),
    );
  } finally {
    console.warn = warn;
  }
}

/** The manifest that makes Lanyard trust an issuer. */
export function jwtAuthenticator(issuer: TestIssuer): object {
  return {
    apiVersion: AUTHENTICATION,
    kind: "JWTAuthenticator",
    metadata: { name: AUTHENTICATOR },
    spec: {
      issuer: issuer.issuerUrl,
      audience: issuer.clientId,
      tls: { certificateAuthorityData: Buffer.from(issuer.caPem).toString("base64") },
    },
  };
}

/** The user logs in by the authorization code flow with PKCE; answers the ID token. */
export async function logIn(issuer: TestIssuer, story: Story): Promise<string> {
  const token = await issuer.getIdToken({ username: USERNAME });
  story.step(`${USERNAME} logged in at the issuer (authorization code flow) and holds an ID token.`, {
    username: USERNAME,
    groups: GROUPS.join(", "),
    token: `never shown; its SHA-256 is ${tokenDigest(token)}`,
  });
  return token;
}

/** Exchanges, and says what went wrong if there is no certificate. */
export async function exchangeForCertificate(server: Server, token: string): Promise<Certificate> {
  const answer = await exchange(server, AUTHENTICATOR, token);
  if (typeof answer === "string") {
    throw new DemoFailure(`a good token was refused: ${answer}`);
  }
  return answer;
}

/** Two tokens that must not get anybody in. */
export async function showRefusals(server: Server, issuer: TestIssuer, story: Story): Promise<void> {
  const { privateKey } = await generateKeyPair("RS256");
  const attempts = {
    "signed with somebody else's key": await issuer.signToken(
      { sub: USERNAME, username: USERNAME, groups: [...GROUPS] },
      { key: privateKey },
    ),
    "genuine, but says group system:masters": await issuer.signToken({
      sub: USERNAME,
      username: USERNAME,
      groups: ["system:masters"],
    }),
  };
  const refusals: Record<string, string> = {};
  for (const [what, token] of Object.entries(attempts)) {
    const answer = await exchange(server, AUTHENTICATOR, token);
    if (answer !== "authentication failed") {
      throw new DemoFailure(`a token that is ${what} was not refused as it must be`);
    }
    refusals[what] = answer;
  }
  story.step("Two tokens that must not get anybody in, and do not:", refusals);
}
