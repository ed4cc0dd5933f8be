{{/* What services are told: (dict "root" $ "component" "billing" "values" .Values.billing). */}}
{{- define "garant.kafkaBootstrap" -}}
{{- if include "garant.trial" . -}}
{{ include "garant.fullname" . }}-trial-kafka:9092
{{- else -}}
{{ .Values.kafka.bootstrap }}
{{- end -}}
{{- end -}}

{{- define "garant.replication" -}}
{{ .Values.kafka.replication | default (ternary 1 3 (eq .Values.mode "trial")) }}
{{- end -}}

{{- define "garant.kafkaProtocol" -}}
{{ ternary "PLAINTEXT" .Values.kafka.security.protocol (eq .Values.mode "trial") }}
{{- end -}}

{{/* Where Kafka is and how it is laid out, without who we are. */}}
{{- define "garant.kafkaPlainEnv" -}}
{{- $kafka := .root.Values.kafka -}}
{{- $protocol := include "garant.kafkaProtocol" .root -}}
- {name: GARANT_KAFKA_BOOTSTRAP, value: {{ include "garant.kafkaBootstrap" .root | quote }}}
- {name: GARANT_KAFKA_PREFIX, value: {{ $kafka.prefix | quote }}}
- {name: GARANT_KAFKA_TARGET_PARTITIONS, value: {{ $kafka.targetPartitions | quote }}}
- {name: GARANT_KAFKA_ACCOUNT_PARTITIONS, value: {{ $kafka.accountPartitions | quote }}}
- {name: GARANT_KAFKA_REPLICATION, value: {{ include "garant.replication" .root | quote }}}
- {name: GARANT_KAFKA_WAIT_S, value: {{ $kafka.waitSeconds | quote }}}
- {name: GARANT_KAFKA_SESSION_S, value: {{ $kafka.sessionSeconds | quote }}}
- {name: GARANT_KAFKA_SECURITY_PROTOCOL, value: {{ $protocol }}}
{{- if hasPrefix "SASL_" $protocol }}
- {name: GARANT_KAFKA_SASL_MECHANISM, value: {{ $kafka.security.saslMechanism }}}
{{- end }}
{{- if hasSuffix "SSL" $protocol }}
{{- if $kafka.security.caSecret }}
- {name: GARANT_KAFKA_CA_FILE, value: /etc/garant/kafka-ca/{{ $kafka.security.caKey }}}
{{- end }}
{{- if not $kafka.security.checkHostname }}
- {name: GARANT_KAFKA_CHECK_HOSTNAME, value: "false"}
{{- end }}
{{- end }}
{{- end -}}

{{/* The same and who we are: `user` is the identity on the log, "billing" of "garant-billing". */}}
{{- define "garant.kafkaEnv" -}}
{{- $protocol := include "garant.kafkaProtocol" .root -}}
{{ include "garant.kafkaPlainEnv" . }}
{{- if hasPrefix "SASL_" $protocol }}
- {name: GARANT_KAFKA_USERNAME, value: {{ printf "%sgarant-%s" .root.Values.kafka.prefix .user | quote }}}
- {name: GARANT_KAFKA_PASSWORD_FILE, value: /etc/garant/kafka/kafka-password}
{{- end }}
{{- if eq $protocol "SSL" }}
- {name: GARANT_KAFKA_CERT_FILE, value: /etc/garant/kafka-cert/tls.crt}
- {name: GARANT_KAFKA_KEY_FILE, value: /etc/garant/kafka-cert/tls.key}
{{- end }}
{{- end -}}

{{- define "garant.kafkaMounts" -}}
{{- $protocol := include "garant.kafkaProtocol" .root -}}
{{- if hasPrefix "SASL_" $protocol }}
- {name: kafka, mountPath: /etc/garant/kafka, readOnly: true}
{{- end }}
{{- include "garant.kafkaCaMount" . }}
{{- if eq $protocol "SSL" }}
- {name: kafka-cert, mountPath: /etc/garant/kafka-cert, readOnly: true}
{{- end }}
{{- end -}}

{{- define "garant.kafkaVolumes" -}}
{{- $protocol := include "garant.kafkaProtocol" .root -}}
{{- if hasPrefix "SASL_" $protocol }}
- name: kafka
  secret:
    secretName: {{ include "garant.secret" (dict "root" .root "component" .user) }}
    defaultMode: 0440
    items:
      - {key: kafka-password, path: kafka-password}
{{- end }}
{{- include "garant.kafkaCaVolume" . }}
{{- if eq $protocol "SSL" }}
- name: kafka-cert
  secret:
    secretName: {{ include "garant.kafkaCert" . }}
    defaultMode: 0440
{{- end }}
{{- end -}}

{{- define "garant.kafkaCaMount" -}}
{{- if and (hasSuffix "SSL" (include "garant.kafkaProtocol" .root)) .root.Values.kafka.security.caSecret }}
- {name: kafka-ca, mountPath: /etc/garant/kafka-ca, readOnly: true}
{{- end }}
{{- end -}}

{{- define "garant.kafkaCaVolume" -}}
{{- if and (hasSuffix "SSL" (include "garant.kafkaProtocol" .root)) .root.Values.kafka.security.caSecret }}
- name: kafka-ca
  secret:
    secretName: {{ .root.Values.kafka.security.caSecret }}
    defaultMode: 0440
{{- end }}
{{- end -}}

{{/* The Secret with PostgreSQL's authority; empty in a trial and where none is named. */}}
{{- define "garant.databaseCa" -}}
{{- if not (include "garant.trial" .root) }}{{ .root.Values.database.caSecret }}{{ end -}}
{{- end -}}

{{/* PostgreSQL's client reads these, whatever the URL leaves open. */}}
{{- define "garant.databaseCaEnv" -}}
{{- if include "garant.databaseCa" . }}
- {name: PGSSLMODE, value: verify-full}
- {name: PGSSLROOTCERT, value: /etc/garant/database-ca/{{ .root.Values.database.caKey }}}
{{- end }}
{{- end -}}

{{- define "garant.databaseCaMount" -}}
{{- if include "garant.databaseCa" . }}
- {name: database-ca, mountPath: /etc/garant/database-ca, readOnly: true}
{{- end }}
{{- end -}}

{{- define "garant.databaseCaVolume" -}}
{{- if include "garant.databaseCa" . }}
- name: database-ca
  secret:
    secretName: {{ include "garant.databaseCa" . }}
    defaultMode: 0440
{{- end }}
{{- end -}}

{{- define "garant.kafkaCert" -}}
{{ get .root.Values.kafka.security.certSecrets .user | default (printf "%s-%s-kafka" (include "garant.fullname" .root) .user) }}
{{- end -}}

{{- define "garant.secretEnv" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret }}
      key: {{ .key }}
{{- end -}}

{{- define "garant.otlpEnv" -}}
{{- with .root.Values.otlp }}
{{- if .endpoint }}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ .endpoint | quote }}}
- {name: OTEL_TRACES_SAMPLER, value: {{ .sampler | quote }}}
- {name: OTEL_TRACES_SAMPLER_ARG, value: {{ .samplerArgument | quote }}}
{{- if .headersSecret }}
{{ include "garant.secretEnv" (dict "name" "OTEL_EXPORTER_OTLP_HEADERS" "secret" .headersSecret "key" "headers") }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* A mailbox and a relay: (dict "root" $ "component" "support" "values" .Values.support), with `plain` true all but the
passwords. */}}
{{- define "garant.mailEnv" -}}
{{- $upper := upper .component -}}
{{- $mail := .values.mail -}}
{{- if include "garant.trial" .root }}
{{- $host := printf "%s-trial-mail" (include "garant.fullname" .root) }}
{{- $address := ternary "support@garant.example" "letters@garant.example" (eq .component "support") }}
{{- $mail = dict "address" $address "domain" "" "imap" (dict "host" $host "port" 28143 "user" $address "folder" "INBOX" "tls" "none") "smtp" (dict "host" $host "port" 28025 "user" $address "tls" "none") }}
- {name: GARANT_{{ $upper }}_SETTLE_S, value: "5"}
{{- end }}
- {name: GARANT_{{ $upper }}_ADDRESS, value: {{ $mail.address | quote }}}
{{- with $mail.domain }}
- {name: GARANT_{{ $upper }}_DOMAIN, value: {{ . | quote }}}
{{- end }}
{{- $secret := include "garant.secret" . }}
{{- with $mail.imap }}{{ if .host }}
- {name: GARANT_{{ $upper }}_IMAP_HOST, value: {{ .host | quote }}}
- {name: GARANT_{{ $upper }}_IMAP_PORT, value: {{ .port | quote }}}
- {name: GARANT_{{ $upper }}_IMAP_USER, value: {{ .user | quote }}}
- {name: GARANT_{{ $upper }}_IMAP_FOLDER, value: {{ .folder | quote }}}
- {name: GARANT_{{ $upper }}_IMAP_TLS, value: {{ .tls | quote }}}
{{- if not $.plain }}
{{ include "garant.secretEnv" (dict "name" (printf "GARANT_%s_IMAP_PASSWORD" $upper) "secret" $secret "key" "imap-password") }}
{{- end }}
{{- end }}{{ end }}
{{- with $mail.smtp }}{{ if .host }}
- {name: GARANT_{{ $upper }}_SMTP_HOST, value: {{ .host | quote }}}
- {name: GARANT_{{ $upper }}_SMTP_PORT, value: {{ .port | quote }}}
- {name: GARANT_{{ $upper }}_SMTP_TLS, value: {{ .tls | quote }}}
{{- if .user }}
- {name: GARANT_{{ $upper }}_SMTP_USER, value: {{ .user | quote }}}
{{- if not $.plain }}
{{ include "garant.secretEnv" (dict "name" (printf "GARANT_%s_SMTP_PASSWORD" $upper) "secret" $secret "key" "smtp-password") }}
{{- end }}
{{- end }}
{{- end }}{{ end }}
{{- end -}}

{{/* A map of settings as variables; what is empty is not said, so that the service's own default holds. */}}
{{- define "garant.settingsEnv" -}}
{{- range $name, $value := . }}
- {name: {{ $name }}, value: {{ $value | toString | quote }}}
{{- end }}
{{- end -}}
