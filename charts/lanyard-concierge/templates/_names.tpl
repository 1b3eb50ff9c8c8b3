{{/* Labels of every object; "app" cannot be replaced. */}}
{{- define "concierge.labels" -}}
{{- merge (dict "app" .Values.appName) (.Values.customLabels | default dict) | toYaml }}
{{- end }}

{{/* The context is (list <root> <group in the pinniped.dev form>). */}}
{{- define "concierge.group" -}}
{{- $root := index . 0 }}
{{- printf "%s.%s" (index . 1 | trimSuffix ".pinniped.dev") $root.Values.apiGroupSuffix }}
{{- end }}

{{- define "concierge.image" -}}
{{- with .Values.image }}
{{- if .digest }}
{{- printf "%s@%s" .repository .digest }}
{{- else }}
{{- printf "%s:%s" .repository (.tag | default $.Chart.AppVersion) }}
{{- end }}
{{- end }}
{{- end }}

{{/* The one subject of most bindings: our own ServiceAccount. */}}
{{- define "concierge.subject" -}}
- kind: ServiceAccount
  name: {{ .Values.appName }}
  namespace: {{ .Release.Namespace }}
{{- end }}
