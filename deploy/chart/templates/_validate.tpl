{{/* What a schema cannot say. Every mistake is one line that says what to change; all of them are told at once. */}}
{{- define "garant.mistakes" -}}
{{- $v := .Values -}}
{{- $production := eq $v.mode "production" -}}
{{- $services := list "sla" "billing" "support" "notify" "status" "probe" -}}
{{- $agents := (include "garant.probeAgents" . | fromYaml).agents -}}
{{- $known := (include "garant.probeConfig" . | fromYaml).locations | default list -}}
{{- if $production }}
{{- if not $v.kafka.bootstrap }}
kafka.bootstrap is empty: set it to your Kafka's addresses, for example kafka.example:9093
{{- end }}
{{- if eq (int (include "garant.replication" .)) 1 }}
kafka.replication is 1: a lost broker would lose history; set it to 3 (or 2)
{{- end }}
{{- if not $v.probe.config }}
probe.config is empty: say there what is probed, as docs/how-to/probe-your-server.md shows
{{- end }}
{{- if not $v.probe.agents }}
probe.agents is empty: name an agent for each location, for example [{location: zurich}]
{{- end }}
{{- if not $v.status.config }}
status.config is empty: say there what is public, as docs/how-to/status-page.md shows
{{- end }}
{{- if not $v.status.publicUrl }}
status.publicUrl is empty: set it to where readers find the page, for example https://status.example.ch
{{- end }}
{{- range $service := list "support" "notify" }}
{{- if not (get $v $service).mail.address }}
{{ $service }}.mail.address is empty: set it to the mailbox its letters come from
{{- end }}
{{- end }}
{{- if and $v.support.mail.imap.host (not (hasKey $v.support.settings "GARANT_SUPPORT_AUTHSERV_ID")) }}
support.settings has no GARANT_SUPPORT_AUTHSERV_ID: set it to the name your mail server verifies senders under, or every mail waits in quarantine
{{- end }}
{{- range $service := $services }}
{{- $c := dict "root" $ "component" $service "user" $service }}
{{- if or (hasPrefix "SASL_" $v.kafka.security.protocol) (not (has $service (list "sla" "probe"))) }}
{{- if and $v.externalSecrets.enabled (not (get $v.externalSecrets.keys $service)) (not (get $v.secrets $service)) }}
externalSecrets.keys.{{ $service }} is empty: set it to what the store calls the secret of {{ $service }}
{{- else if not (or $v.externalSecrets.enabled (get $v.secrets $service)) }}
secrets.{{ $service }} is empty: name the Secret with {{ include "garant.secretKeys" $c }}
{{- end }}
{{- end }}
{{- end }}
{{- if and $v.kafka.topics.apply (hasPrefix "SASL_" $v.kafka.security.protocol) (not $v.secrets.admin) }}
secrets.admin is empty: topics are made before anything else is there; name a Secret you made, with kafka-password
{{- end }}
{{- if and $v.kafka.topics.apply (eq $v.kafka.security.protocol "SSL") (not $v.kafka.security.certSecrets.admin) }}
kafka.security.certSecrets.admin is empty: topics are made before anything else is there; name a Secret you made, with tls.crt and tls.key
{{- end }}
{{- else }}
{{- if $v.kafka.bootstrap }}
kafka.bootstrap is set, but a trial has its own Kafka: set mode to production, or remove it
{{- end }}
{{- if gt (int (include "garant.replication" .)) 1 }}
kafka.replication is {{ $v.kafka.replication }}, but a trial has one broker: set it to 1, or mode to production
{{- end }}
{{- range $service, $name := $v.secrets }}
{{- if $name }}
secrets.{{ $service }} is set, but a trial makes its own: set mode to production, or remove it
{{- end }}
{{- end }}
{{- if $v.externalSecrets.enabled }}
externalSecrets.enabled is true, but a trial makes its own secrets: set mode to production, or remove it
{{- end }}
{{- if $v.kafka.topics.apply }}
kafka.topics.apply is true, but in a trial the services make the topics: remove it, or set mode to production
{{- end }}
{{- end }}
{{- range $label, $_ := $v.commonLabels }}
{{- if or (hasPrefix "app.kubernetes.io/" $label) (hasPrefix "garant.ch/" $label) (hasPrefix "helm.sh/" $label) }}
commonLabels has {{ $label }}, which the chart sets: remove it
{{- end }}
{{- end }}
{{- range $service := list "billing" "support" "notify" }}
{{- if gt (int (get $v $service).replicas) (int $v.kafka.accountPartitions) }}
{{ $service }}.replicas is {{ (get $v $service).replicas }}, more than the {{ $v.kafka.accountPartitions }} of kafka.accountPartitions: one without a partition is never ready; set it to at most {{ $v.kafka.accountPartitions }}
{{- end }}
{{- end }}
{{- $seen := dict }}
{{- range $agent := $agents }}
{{- if not (has $agent.location $known) }}
probe.agents has location {{ $agent.location }}, which probe.config does not: add it to probe.config.locations ({{ join ", " $known }}), or remove the agent
{{- end }}
{{- $name := $agent.name | default (lower $agent.location) }}
{{- if not (regexMatch "^[a-z0-9]([-a-z0-9]{0,11}[a-z0-9])?$" $name) }}
probe.agents has location {{ $agent.location }}, which cannot be in an object's name: give the agent a `name` of at most 13 letters a-z, digits and -
{{- end }}
{{- if hasKey $seen $name }}
probe.agents has {{ $name }} twice: an agent for each location, with a name of its own
{{- end }}
{{- $_ := set $seen $name true }}
{{- end }}
{{- range $location := $known }}
{{- $has := false }}
{{- range $agents }}{{ if eq .location $location }}{{ $has = true }}{{ end }}{{ end }}
{{- if and $production (not $has) $agents (not $v.probe.elsewhere) }}
probe.config has location {{ $location }}, for which probe.agents has no agent: add one, or set probe.elsewhere to true if it runs outside of this cluster
{{- end }}
{{- end }}
{{- if and $v.httpRoute.enabled (not $v.httpRoute.parentRefs) }}
httpRoute.parentRefs is empty: name the Gateway, for example [{name: public, namespace: gateways}]
{{- end }}
{{- if and $v.httpRoute.enabled (not $v.httpRoute.status.hostnames) }}
httpRoute.status.hostnames is empty: name the host of the status page, for example [status.example.ch]
{{- end }}
{{- if and $v.httpRoute.enabled $v.networkPolicy.enabled (not $v.networkPolicy.gateway.peers) }}
networkPolicy.gateway.peers is empty, so the Gateway reaches nothing: name its namespace or pods, or set httpRoute.enabled to false
{{- end }}
{{- if and $v.monitoring.podMonitor.enabled $v.networkPolicy.enabled (not $v.networkPolicy.monitoring.peers) }}
networkPolicy.monitoring.peers is empty, so Prometheus reaches nothing: name its namespace or pods, or set monitoring.podMonitor.enabled to false
{{- end }}
{{- if and $v.externalSecrets.enabled (not $v.externalSecrets.storeRef.name) }}
externalSecrets.storeRef.name is empty: name the store
{{- end }}
{{- if and $v.certManager.enabled (not $v.certManager.issuerRef.name) }}
certManager.issuerRef.name is empty: name the issuer
{{- end }}
{{- if and $v.certManager.enabled $v.certManager.gatewaySecret (not $v.httpRoute.status.hostnames) }}
certManager.gatewaySecret is set, but httpRoute.status.hostnames is empty: a certificate is for those host names
{{- end }}
{{- if and $v.certManager.enabled $v.certManager.kafka (ne $v.kafka.security.protocol "SSL") }}
certManager.kafka is true, but kafka.security.protocol is {{ $v.kafka.security.protocol }}: certificates are asked for with SSL; change one of them
{{- end }}
{{- range $component := list "sla" "billing" "support" "notify" "status" "probe" }}
{{- range (get $v $component).extraEnv }}
{{- if has .name (list "GARANT_HOME" "GARANT_KAFKA_BOOTSTRAP" "GARANT_SLA_INSTANCE") }}
{{ $component }}.extraEnv has {{ .name }}, which the chart sets: remove it
{{- end }}
{{- end }}
{{- end }}
{{- if $production }}{{ include "garant.absent" . }}{{ end }}
{{- end -}}

{{/* The keys that a service's Secret must have: (dict "root" $ "component" "billing"). */}}
{{- define "garant.secretKeys" -}}
{{- $v := .root.Values -}}
{{- $keys := list -}}
{{- if hasPrefix "SASL_" $v.kafka.security.protocol }}{{ $keys = append $keys "kafka-password" }}{{ end -}}
{{- if has .component (list "billing" "support" "notify" "status") }}{{ $keys = concat $keys (list "database-url" "token") }}{{ end -}}
{{- if has .component (list "support" "notify") -}}
{{- $mail := (get $v .component).mail -}}
{{- if $mail.imap.host }}{{ $keys = append $keys "imap-password" }}{{ end -}}
{{- if and $mail.smtp.host $mail.smtp.user }}{{ $keys = append $keys "smtp-password" }}{{ end -}}
{{- end -}}
{{ join ", " $keys }}
{{- end -}}

{{/* Secrets that are not in the cluster, or lack a key; nothing where no cluster is asked (helm template). */}}
{{- define "garant.absent" -}}
{{- if lookup "v1" "Secret" .Release.Namespace "" }}
{{- $root := . }}
{{- range (include "garant.neededSecrets" . | fromYaml).secrets }}
{{- $needed := . }}
{{- $secret := lookup "v1" "Secret" $root.Release.Namespace .name }}
{{- if not $secret }}
Secret {{ .name }} ({{ .value }}) is not in namespace {{ $root.Release.Namespace }}: make it with {{ join ", " .keys }}
{{- else }}
{{- range $key := .keys }}
{{- if not (get ($secret.data | default dict) $key) }}
Secret {{ $needed.name }} ({{ $needed.value }}) has no {{ $key }}: add it
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The Secrets that must be made beforehand, as data: the value that names each, and the keys it must have. */}}
{{- define "garant.neededSecrets" -}}
{{- $v := .Values -}}
secrets:
{{- range $service, $name := $v.secrets }}
{{- if and $name (ternary $v.kafka.topics.apply (not $v.externalSecrets.enabled) (eq $service "admin")) }}
  - {value: secrets.{{ $service }}, name: {{ $name }}, keys: [{{ include "garant.secretKeys" (dict "root" $ "component" $service) }}]}
{{- end }}
{{- end }}
{{- if and (hasSuffix "SSL" $v.kafka.security.protocol) $v.kafka.security.caSecret }}
  - {value: kafka.security.caSecret, name: {{ $v.kafka.security.caSecret }}, keys: [{{ $v.kafka.security.caKey | quote }}]}
{{- end }}
{{- if $v.database.caSecret }}
  - {value: database.caSecret, name: {{ $v.database.caSecret }}, keys: [{{ $v.database.caKey | quote }}]}
{{- end }}
{{- if eq $v.kafka.security.protocol "SSL" }}
{{- range $service, $_ := $v.kafka.security.certSecrets }}
{{- if ternary $v.kafka.topics.apply (not $v.certManager.kafka) (eq $service "admin") }}
  - {value: kafka.security.certSecrets.{{ $service }}, name: {{ include "garant.kafkaCert" (dict "root" $ "user" $service) }}, keys: [tls.crt, tls.key]}
{{- end }}
{{- end }}
{{- end }}
{{- if and $v.otlp.endpoint $v.otlp.headersSecret }}
  - {value: otlp.headersSecret, name: {{ $v.otlp.headersSecret }}, keys: [headers]}
{{- end }}
{{- end -}}
