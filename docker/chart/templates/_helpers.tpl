{{- define "tagwerk.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default (printf "%s-models" (ternary "gpu" "cpu" $.Values.gpu)) }}{{ end }}
{{- end -}}
{{- end -}}

{{- define "tagwerk.shared" -}}
{{- if .Values.shared.enabled -}}
persistentVolumeClaim: {claimName: {{ .Values.shared.claim | default (printf "%s-shared" .Release.Name) }}}
{{- else -}}
emptyDir: {}
{{- end -}}
{{- end -}}

{{- define "tagwerk.pod" -}}
serviceAccountName: {{ .Release.Name }}
automountServiceAccountToken: false
enableServiceLinks: false # they would set TAGWERK_PORT to the address of the Service
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "tagwerk.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{- define "tagwerk.scaling" -}}
scaleUp: {policies: [{type: Percent, value: 100, periodSeconds: 60}]}
scaleDown: {stabilizationWindowSeconds: 600} # a new Pod loads models first, so leaving and coming back is dear
{{- end -}}
