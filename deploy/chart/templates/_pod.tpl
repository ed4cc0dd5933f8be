{{/* Parts of every pod. All of it passes the Pod Security standard "restricted". */}}
{{- define "garant.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "garant.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* (dict "root" $ "component" "billing" "values" .Values.billing): where it runs and how it ends. */}}
{{- define "garant.scheduling" -}}
serviceAccountName: {{ include "garant.serviceAccount" .root }}
{{ include "garant.placing" . }}
{{- end -}}

{{/* The same for hooks: before an install there is no account of this release yet. */}}
{{- define "garant.hookScheduling" -}}
serviceAccountName: {{ .root.Values.serviceAccount.name | default "default" }}
{{ include "garant.placing" . }}
{{- end -}}

{{- define "garant.placing" -}}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: {{ .values.terminationGracePeriodSeconds | default 60 }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName | default .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- $nodes := deepCopy (.values.nodeSelector | default .root.Values.nodeSelector) }}
{{- with .values.zone }}
{{- $_ := set $nodes "topology.kubernetes.io/zone" . }}
{{- end }}
{{- with $nodes }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations | default .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Replicas spread over zones first, then over machines; never so strictly that a lost zone leaves them pending. */}}
{{- define "garant.spread" -}}
topologySpreadConstraints:
  {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "garant.selector" $ | nindent 8 }}
  {{- end }}
{{- end -}}

{{- define "garant.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "garant.fullname" .) }}
{{- end -}}

{{/* Probes over HTTP on the port called "http". Liveness is that the loop advances, readiness that what it needs is
restored and reachable. Start-up may take as long as a service waits for Kafka, and a minute. */}}
{{- define "garant.probes" -}}
startupProbe:
  httpGet: {path: /live, port: http}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: {{ div (add (int .root.Values.kafka.waitSeconds) 60) 2 }}
livenessProbe:
  httpGet: {path: /live, port: http}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /ready, port: http}
  periodSeconds: 3
  timeoutSeconds: 5
  failureThreshold: 2
{{- end -}}

{{/* Probes of what speaks no HTTP: (dict "port" "kafka"). */}}
{{- define "garant.tcpProbes" -}}
startupProbe:
  tcpSocket: {port: {{ .port }}}
  periodSeconds: 2
  failureThreshold: 150
livenessProbe:
  tcpSocket: {port: {{ .port }}}
  periodSeconds: 10
  failureThreshold: 6
readinessProbe:
  tcpSocket: {port: {{ .port }}}
  periodSeconds: 2
  failureThreshold: 2
{{- end -}}

{{/* Endpoints are taken out of routing before the process is told to stop. */}}
{{- define "garant.drain" -}}
lifecycle:
  preStop:
    sleep:
      seconds: 5
{{- end -}}

{{- define "garant.container" -}}
image: {{ include "garant.image" (dict "root" .root "image" (.image | default .root.Values.image)) }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
terminationMessagePolicy: FallbackToLogsOnError
securityContext:
  {{- include "garant.containerSecurity" . | nindent 2 }}
resources:
  {{- toYaml .values.resources | nindent 2 }}
{{- end -}}

{{- define "garant.podAnnotations" -}}
annotations:
  kubectl.kubernetes.io/default-container: {{ .component }}
  {{- if .checksum }}
  garant.ch/config: {{ .checksum }}
  {{- end }}
  {{- with .values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Kafka, tracing, logs and what the operator adds, for every service. */}}
{{- define "garant.commonEnv" -}}
{{ include "garant.kafkaEnv" . }}
- {name: GARANT_DATABASE_WAIT_S, value: {{ .root.Values.database.waitSeconds | quote }}}
- {name: GARANT_LOG_LEVEL, value: {{ .root.Values.logLevel | quote }}}
{{- include "garant.otlpEnv" . }}
{{- with .values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "garant.mounts" -}}
- {name: home, mountPath: /var/lib/garant}
- {name: tmp, mountPath: /tmp}
{{- include "garant.kafkaMounts" . }}
{{- end -}}

{{- define "garant.volumes" -}}
- name: home
  emptyDir:
    sizeLimit: 1Gi
{{ include "garant.tmpVolume" . }}
{{- include "garant.kafkaVolumes" . }}
{{- end -}}

{{- define "garant.tmpVolume" -}}
- name: tmp
  emptyDir:
    sizeLimit: 256Mi
{{- end -}}
