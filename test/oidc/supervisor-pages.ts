import { randomBytes } from "node:crypto";

/** A page and the Content-Security-Policy that belongs to it. */
export interface Page {
  readonly html: string;
  readonly policy: string;
}

/** The form for username and password; it carries the authorization request along. */
export function loginPage(action: string, request: URLSearchParams, alert = ""): Page {
  return {
    policy: "default-src 'none'; frame-ancestors 'none'",
    html: `<!doctype html><title>Pinniped Login</title>
<form method="post" action="${escape(action)}">
<input type="hidden" name="request" value="${escape(request.toString())}">
<span id="alert" role="alert">${escape(alert)}</span>
<input id="username" name="username" required><input id="password" name="password" type="password" required>
<input id="submit" type="submit" value="Log in"></form>`,
  };
}

/**
 * The answer to `response_mode=form_post` (supervisor.md 4.4): a script posts the parameters to the CLI across origins, shows what it
 * answers, and shows the code to paste when nobody answers.
 */
export function deliverByFetchPage(redirectUri: string, parameters: URLSearchParams): Page {
  const nonce = randomBytes(16).toString("base64url");
  return {
    policy: `default-src 'none'; script-src 'nonce-${nonce}'; connect-src *; frame-ancestors 'none'`,
    html: `<!doctype html><title>Logging in...</title>
<form><input type="hidden" name="redirect_uri" value="${escape(redirectUri)}">
<input type="hidden" name="encoded_params" value="${escape(parameters.toString())}"></form>
<div id="message"></div><div id="manual-auth-code"></div>
<script nonce="${nonce}">
history.replaceState(null, "", "./");
const field = (name) => document.querySelector("[name=" + name + "]").value;
const parameters = field("encoded_params");
const manual = () => {
  document.title = "Finish your login";
  document.getElementById("manual-auth-code").textContent = new URLSearchParams(parameters).get("code");
};
const timer = setTimeout(manual, 2000);
fetch(field("redirect_uri"), {
  method: "POST",
  mode: "cors",
  headers: { "Content-Type": "application/x-www-form-urlencoded;charset=UTF-8" },
  body: parameters,
}).then(async (response) => {
  clearTimeout(timer);
  const text = await response.text();
  document.title = response.ok ? "Login succeeded" : "Error during login";
  document.getElementById("message").textContent = response.ok ? text : response.status + ": " + text;
}, manual);
</script>`,
  };
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
