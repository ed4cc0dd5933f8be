{{/* Names and labels. At most 32 characters of the release, so that every name with its component fits 63, and a
StatefulSet's 52 (its pods carry a label of the name and a hash). */}}
{{- define "garant.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 32 | trimSuffix "-" -}}
{{- else if contains "garant" .Release.Name -}}
{{- .Release.Name | trunc 32 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-garant" (.Release.Name | trunc 25 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{- define "garant.trial" -}}
{{- if eq .Values.mode "trial" }}true{{ end -}}
{{- end -}}

{{/* What selects the pods of one component: (dict "root" $ "component" "sla"). */}}
{{- define "garant.selector" -}}
app.kubernetes.io/name: garant
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "garant.labels" -}}
{{ include "garant.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: garant
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- if hasPrefix "trial-" .component }}
garant.ch/trial: "true"
{{- end }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Of a pod: what does not change with the chart alone, which would restart it, a trial's Kafka and PostgreSQL too. */}}
{{- define "garant.podLabels" -}}
{{ include "garant.selector" . }}
app.kubernetes.io/part-of: garant
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- if hasPrefix "trial-" .component }}
garant.ch/trial: "true"
{{- else }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
{{- end }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "garant.name" -}}
{{ include "garant.fullname" .root }}-{{ .component }}
{{- end -}}

{{- define "garant.rulesVersion" -}}
{{ (.Files.Get "rules.yaml" | fromYaml).rulesVersion }}
{{- end -}}

{{/* The StatefulSet of the SLA service: one for each version of the rules. */}}
{{- define "garant.slaName" -}}
{{ include "garant.fullname" . }}-sla-r{{ include "garant.rulesVersion" . }}
{{- end -}}

{{/* The Secret of a service: named by the platform team, or made by this chart. */}}
{{- define "garant.secret" -}}
{{- if or (include "garant.trial" .root) (not (get .root.Values.secrets .component)) -}}
{{ include "garant.fullname" .root }}-{{ .component }}
{{- else -}}
{{ get .root.Values.secrets .component }}
{{- end -}}
{{- end -}}

{{/* (dict "root" $ "image" .Values.image). */}}
{{- define "garant.image" -}}
{{- $image := .image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}
