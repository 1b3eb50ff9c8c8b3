import { messageOf } from "../../errors.ts";
import { mayPrompt } from "../terminal/may-prompt.ts";
import { showProgress } from "../terminal/progress-line.ts";
import { authorizationUrl, createAuthorizationSecrets } from "./authorization-request.ts";
import type { CallbackListener } from "./callback-listener.ts";
import { startCallbackListener } from "./callback-listener.ts";
import type { ChosenFlow } from "./choose-flow.ts";
import { endOfContext, loginError } from "./failed-call.ts";
import type { LoginCall } from "./login-call.ts";
import { promptForCode } from "./paste-code.ts";
import type { Provider } from "./provider.ts";
import type { ReceivedSession } from "./redeem-authorization.ts";
import { createRedeemer } from "./redeem-authorization.ts";

/** Where the browser is sent when nothing listens: the code then comes by paste (contract cli.md 4.6). */
const UNHEARD_REDIRECT_URI = "http://127.0.0.1:0/callback";

type Redeem = (code: string, redirectUri: string) => Promise<ReceivedSession>;

/** The authorization code flow in a browser; the first of callback, pasted code and time limit wins (contract cli.md 4.6). */
export async function loginWithBrowser(
  call: LoginCall,
  provider: Provider,
  chosen: ChosenFlow,
): Promise<ReceivedSession> {
  const { context } = call;
  const secrets = createAuthorizationSecrets();
  const redeem = createRedeemer(call, provider, secrets);
  const listener = await openListener(call, secrets.state, redeem);
  try {
    if (listener === undefined && !mayPrompt(context)) {
      const alternative =
        provider.deviceAuthorizationEndpoint === undefined
          ? ""
          : " (the issuer also offers logins by device code: use --device-code, or set LANYARD_DEVICE_CODE=true)";
      throw loginError(
        `login failed: must have either a localhost listener or stdin must be a TTY${alternative}`,
      );
    }
    const redirectUri = listener?.redirectUri ?? UNHEARD_REDIRECT_URI;
    const url = authorizationUrl(call, provider, chosen, secrets, redirectUri);
    const quiet = await showUrl(call, url, listener !== undefined);
    const canPaste = !quiet && mayPrompt(context) && (provider.formPost || listener === undefined);
    return await firstResult(
      call,
      listener,
      canPaste ? { redeem, redirectUri, state: secrets.state } : undefined,
    );
  } finally {
    await listener?.close();
  }
}

async function openListener(
  { context, options }: LoginCall,
  state: string,
  redeem: Redeem,
): Promise<CallbackListener<ReceivedSession> | undefined> {
  if (options.skipListen) {
    return undefined;
  }
  try {
    return await startCallbackListener({
      port: options.listenPort,
      issuer: options.issuer,
      state,
      log: context.log,
      clock: context.clock,
      redeem,
    });
  } catch (error) {
    context.log.error("could not open callback listener", { error: messageOf(error) });
    return undefined;
  }
}

/** Opens and prints the URL. Answers whether a browser is open and nothing was printed, as was wished. */
async function showUrl(
  { context, options, parts }: LoginCall,
  url: string,
  listening: boolean,
): Promise<boolean> {
  const opening = options.skipBrowser
    ? Promise.resolve(false)
    : parts.openBrowser(context, url).then(
        () => true,
        (error: unknown) => {
          context.log.info("could not open browser", { error: messageOf(error) });
          return false;
        },
      );
  // Only who wants no URL has to wait for whether the browser came.
  const skipPrint = context.environment["PINNIPED_SKIP_PRINT_LOGIN_URL"] === "true" && listening;
  if (skipPrint && (await opening)) {
    return true;
  }
  context.stderr.write(`Log in by visiting this link:\n\n    ${url}\n\n`);
  return false;
}

async function firstResult(
  call: LoginCall,
  listener: CallbackListener<ReceivedSession> | undefined,
  paste: { readonly redeem: Redeem; readonly redirectUri: string; readonly state: string } | undefined,
): Promise<ReceivedSession> {
  const { context, signal } = call;
  const over = new AbortController();
  const callback = listener?.outcome.catch((error: unknown) => {
    throw loginError(`error handling callback: ${messageOf(error)}`, error);
  });
  const pasted = paste && promptForCode(call, paste, over.signal);
  const progress =
    paste === undefined
      ? showProgress(
          { output: context.stderr, clock: context.clock },
          "Waiting for the login in the browser…",
        )
      : undefined;
  const end = Promise.withResolvers<never>();
  const onAbort = (): void => {
    const { reason } = signal as { readonly reason: unknown };
    end.reject(loginError(`timed out waiting for token callback: ${endOfContext(reason)}`, reason));
  };
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) {
    onAbort();
  }
  try {
    return await Promise.race([end.promise, ...[callback, pasted].filter((result) => result !== undefined)]);
  } finally {
    signal.removeEventListener("abort", onAbort);
    progress?.stop();
    over.abort();
    await pasted?.catch(() => {});
  }
}
