{{/*
Names of the admission webhooks and policies in the cluster whose rules match our virtual kinds, one a line: they do not run, for
requests of an aggregated API never come to the kube-apiserver's admission, and ours has none. Read with the rights of whoever installs.
*/}}
{{- define "concierge.admission-that-does-not-run" -}}
{{- $groups := list "*" (include "concierge.group" (list . "login.concierge.pinniped.dev")) (include "concierge.group" (list . "identity.concierge.pinniped.dev")) }}
{{- $resources := list "*" "*/*" "tokencredentialrequests" "whoamirequests" }}
{{- range $version := list "v1" "v1beta1" }}
{{- range $kind := list "MutatingAdmissionPolicy" "MutatingWebhookConfiguration" "ValidatingAdmissionPolicy" "ValidatingWebhookConfiguration" }}
{{- $apiVersion := printf "admissionregistration.k8s.io/%s" $version }}
{{- $older := and (eq $version "v1beta1") ($.Capabilities.APIVersions.Has (printf "admissionregistration.k8s.io/v1/%s" $kind)) }}
{{- if and (not $older) ($.Capabilities.APIVersions.Has (printf "%s/%s" $apiVersion $kind)) }}
{{- range $object := (lookup $apiVersion $kind "" "").items }}
{{- $rules := list }}
{{- range $webhook := $object.webhooks }}
{{- $rules = concat $rules ($webhook.rules | default list) }}
{{- end }}
{{- if $object.spec }}
{{- $rules = concat $rules (dig "spec" "matchConstraints" "resourceRules" list $object) }}
{{- end }}
{{- $matches := false }}
{{- range $rule := $rules }}
{{- $ofGroup := false }}
{{- range $rule.apiGroups }}{{ if has . $groups }}{{ $ofGroup = true }}{{ end }}{{ end }}
{{- if and $ofGroup (ne ($rule.scope | default "*") "Namespaced") }}
{{- range $rule.resources }}{{ if has . $resources }}{{ $matches = true }}{{ end }}{{ end }}
{{- end }}
{{- end }}
{{- if $matches }}
  {{ $kind }} {{ $object.metadata.name }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
