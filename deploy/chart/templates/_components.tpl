{{/* What runs, as data: arguments, ports, and where the process keeps what. */}}
{{- define "garant.components" -}}
sla:
  args: [sla]
  ports: {http: 28082}
billing:
  args: [billing, serve]
  ports: {http: 28083}
  database: GARANT_BILLING_DATABASE_URL
  token: GARANT_BILLING_TOKEN
support:
  args: [support, serve]
  ports: {http: 28084}
  database: GARANT_SUPPORT_DATABASE_URL
  token: GARANT_SUPPORT_TOKEN
notify:
  args: [notify, serve]
  ports: {http: 28085}
  database: GARANT_NOTIFY_DATABASE_URL
  token: GARANT_NOTIFY_TOKEN
status:
  args: [status, serve]
  ports: {pages: 28087, http: 28088}
  database: GARANT_STATUS_DATABASE_URL
  token: GARANT_STATUS_TOKEN
probe:
  ports: {http: 28091}
trial-kafka:
  ports: {kafka: 9092}
trial-postgres:
  ports: {postgres: 5432}
trial-mail:
  ports: {smtp: 28025, imap: 28143, http: 28086}
trial-demo:
  ports: {http: 28080, tcp: 28081}
{{- end -}}
