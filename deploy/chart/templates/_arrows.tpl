{{/* The arrows that hold with these values, each {from, to, ports, pings}; outsides of a trial are its own components. */}}
{{- define "garant.arrows" -}}
{{- $v := .Values -}}
{{- $trial := eq .Values.mode "trial" -}}
{{- $on := dict "trial" $trial "httpRoute" $v.httpRoute.enabled "httpRoute.billing" (and $v.httpRoute.enabled (not (empty $v.httpRoute.billing.hostnames))) "httpRoute.support" (and $v.httpRoute.enabled (not (empty $v.httpRoute.support.hostnames))) "httpRoute.statusApi" (and $v.httpRoute.enabled (not (empty $v.httpRoute.statusApi.hostnames))) "monitoring" (not (empty $v.networkPolicy.monitoring.peers)) "otlp" (not (empty $v.otlp.endpoint)) "mail" (or $trial (ne "[]" (include "garant.outsidePorts" (dict "root" . "to" "mail")))) -}}
{{- $own := dict "kafka" (list "trial-kafka" (list 9092)) "database" (list "trial-postgres" (list 5432)) "mail" (list "trial-mail" (list 28025 28143)) -}}
arrows:
{{- range (.Files.Get "arrows.yaml" | fromYaml).arrows }}
{{- if or (not .when) (get $on .when) }}
{{- $to := .to }}{{ $ports := .ports | default list }}
{{- if and $trial (hasKey $own .to) }}
{{- $to = index (get $own .to) 0 }}{{ $ports = index (get $own .to) 1 }}
{{- end }}
  - {from: {{ .from }}, to: {{ $to }}, ports: {{ toJson $ports }}, pings: {{ .pings | default false }}}
{{- end }}
{{- end }}
{{- end -}}

{{/* Addresses that are nobody's on the public internet. */}}
{{- define "garant.privateRanges" -}}
- 0.0.0.0/8
- 10.0.0.0/8
- 100.64.0.0/10
- 127.0.0.0/8
- 169.254.0.0/16
- 172.16.0.0/12
- 192.168.0.0/16
- 198.18.0.0/15
- 224.0.0.0/3
{{- end -}}

{{/* The peers and ports of an outside, as one rule of an egress policy: (dict "root" $ "to" "kafka"). */}}
{{- define "garant.outside" -}}
{{- $policy := .root.Values.networkPolicy -}}
{{- if eq .to "targets" -}}
- to:
    - ipBlock:
        cidr: 0.0.0.0/0
        except: [169.254.169.254/32]
    - ipBlock:
        cidr: ::/0
{{- else if eq .to "webhooks" -}}
- to:
    - ipBlock:
        cidr: 0.0.0.0/0
        except:
          {{- include "garant.privateRanges" . | nindent 10 }}
    - ipBlock:
        cidr: ::/0
        except: ["::/127", "64:ff9b::/96", "fc00::/7", "fe80::/10", "ff00::/8"]
  ports:
    - {protocol: TCP, port: 443}
{{- else if eq .to "dns" -}}
- to:
    {{- toYaml $policy.dns.peers | nindent 4 }}
  ports:
    {{- range $policy.dns.ports }}
    - {protocol: UDP, port: {{ . }}}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
{{- else -}}
{{- $out := get $policy .to -}}
- ports:
    {{- range (include "garant.outsidePorts" . | fromJsonArray) }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
  {{- with $out.peers }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
{{- end -}}

{{/* The ports of kafka, database, mail and otlp: as told, else those of the addresses in the values. */}}
{{- define "garant.outsidePorts" -}}
{{- $ports := (get .root.Values.networkPolicy .to).ports -}}
{{- if and (not $ports) (eq .to "kafka") -}}
{{- range splitList "," .root.Values.kafka.bootstrap -}}
{{- $ports = append $ports (regexFind "[0-9]+$" . | int) -}}
{{- end -}}
{{- else if and (not $ports) (eq .to "otlp") -}}
{{- $ports = list (regexReplaceAll "^https?://[^/]*:([0-9]+).*$" .root.Values.otlp.endpoint "${1}" | int | default 4318) -}}
{{- else if and (not $ports) (eq .to "mail") -}}
{{- range $mail := list .root.Values.support.mail .root.Values.notify.mail -}}
{{- if $mail.imap.host }}{{ $ports = append $ports (int $mail.imap.port) }}{{ end -}}
{{- if $mail.smtp.host }}{{ $ports = append $ports (int $mail.smtp.port) }}{{ end -}}
{{- end -}}
{{- end -}}
{{ $ports | uniq | toJson }}
{{- end -}}
