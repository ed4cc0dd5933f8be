{{/* What each service is told besides the log, its database and its token. */}}
{{- define "garant.env.billing" -}}
- {name: GARANT_BILLING_HOST, value: 0.0.0.0}
{{- end -}}

{{- define "garant.env.support" -}}
- {name: GARANT_SUPPORT_HOST, value: 0.0.0.0}
{{- if include "garant.trial" .root }}
- {name: GARANT_SUPPORT_AUTHSERV_ID, value: mail.garant.example}
- {name: GARANT_SUPPORT_STAFF, value: staff@garant.example}
{{- end }}
{{- include "garant.mailEnv" . }}
{{- end -}}

{{- define "garant.env.notify" -}}
- {name: GARANT_NOTIFY_HOST, value: 0.0.0.0}
- {name: GARANT_NOTIFY_SUPPORT_URL, value: "http://{{ include "garant.fullname" .root }}-support:28084"}
{{ include "garant.secretEnv" (dict "name" "GARANT_NOTIFY_SUPPORT_TOKEN" "secret" (include "garant.secret" (dict "root" .root "component" "support")) "key" "token") }}
{{- if include "garant.trial" .root }}
- {name: GARANT_NOTIFY_STAFF, value: staff@garant.example}
- {name: GARANT_NOTIFY_STAFF_LANGUAGE, value: en}
{{- end }}
{{- include "garant.mailEnv" . }}
{{- end -}}

{{- define "garant.env.status" -}}
- {name: GARANT_STATUS_HOST, value: 0.0.0.0}
- {name: GARANT_STATUS_API_HOST, value: 0.0.0.0}
- {name: GARANT_STATUS_CONFIG, value: /etc/garant/status/status.yaml}
- {name: GARANT_STATUS_PUBLIC_URL, value: {{ .values.publicUrl | default "http://127.0.0.1:28087" | quote }}}
- {name: GARANT_STATUS_NOTIFY_URL, value: "http://{{ include "garant.fullname" .root }}-notify:28085"}
{{ include "garant.secretEnv" (dict "name" "GARANT_STATUS_NOTIFY_TOKEN" "secret" (include "garant.secret" (dict "root" .root "component" "notify")) "key" "token") }}
{{- end -}}

{{/* What is public. */}}
{{- define "garant.statusConfig" -}}
{{- if .Values.status.config -}}
{{ toYaml .Values.status.config }}
{{- else -}}
{{ .Files.Get "trial/status.yaml" }}
{{- end -}}
{{- end -}}

{{/* What is probed, from where. */}}
{{- define "garant.probeConfig" -}}
{{- if .Values.probe.config -}}
{{ toYaml .Values.probe.config }}
{{- else -}}
{{ .Files.Get "trial/probes.yaml" | replace "DEMO_HOST" (printf "%s-trial-demo" (include "garant.fullname" .)) }}
{{- end -}}
{{- end -}}

{{- define "garant.probeAgents" -}}
agents:
{{- if and (include "garant.trial" .) (not .Values.probe.agents) }}
  - {location: zurich}
  - {location: geneva}
  - {location: lugano}
{{- else }}
  {{- toYaml .Values.probe.agents | nindent 2 }}
{{- end }}
{{- end -}}

{{/* What `garant demo` in a trial is told: where everything is, and the tokens to ask it. */}}
{{- define "garant.env.demo" -}}
{{- $full := include "garant.fullname" .root -}}
- {name: GARANT_DEMO_SLA_URL, value: "http://{{ $full }}-sla:28082"}
- {name: GARANT_DEMO_PAGE, value: "http://{{ $full }}-status:28087"}
- {name: GARANT_DEMO_MAIL_HOST, value: "{{ $full }}-trial-mail"}
- {name: GARANT_BILLING_URL, value: "http://{{ $full }}-billing:28083"}
- {name: GARANT_SUPPORT_URL, value: "http://{{ $full }}-support:28084"}
{{ include "garant.secretEnv" (dict "name" "GARANT_MAILBOX_PASSWORD" "secret" (printf "%s-trial" $full) "key" "mail-password") }}
{{ include "garant.secretEnv" (dict "name" "GARANT_BILLING_TOKEN" "secret" (printf "%s-billing" $full) "key" "token") }}
{{ include "garant.secretEnv" (dict "name" "GARANT_SUPPORT_TOKEN" "secret" (printf "%s-support" $full) "key" "token") }}
{{ include "garant.kafkaEnv" . }}
{{- end -}}
