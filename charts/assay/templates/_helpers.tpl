{{- /* Name of the chart, or what replaces it. */}}
{{- define "assay.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* Name of all objects: the release's, and the chart's where the release's does not hold it; short enough for a suffix. */}}
{{- define "assay.fullname" -}}
{{- $name := include "assay.name" . }}
{{- $full := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) }}
{{- .Values.fullnameOverride | default $full | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- /* Name of the ServiceAccount that the operator runs as. */}}
{{- define "assay.serviceAccountName" -}}
{{- $own := .Values.serviceAccount.create | ternary (include "assay.fullname" .) "default" }}
{{- .Values.serviceAccount.name | default $own }}
{{- end }}

{{- /* Labels that select the operator's pod; without the version, for a selector can never change. */}}
{{- define "assay.selectorLabels" -}}
app.kubernetes.io/name: {{ include "assay.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- /* Labels of every object. */}}
{{- define "assay.labels" -}}
{{ include "assay.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: assay
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* Name of the Job that upgrades the CRDs and of what it may do. */}}
{{- define "assay.crdsName" -}}
{{- printf "%s-crds" (include "assay.fullname" .) }}
{{- end }}

{{- /* Whether it runs; also where --reuse-values brings the values of a release that did not know crds yet. */}}
{{- define "assay.crdsWanted" -}}
{{- if and .Values.rbac.create (ne "false" (get (.Values.crds | default dict) "upgrade" | toString)) }}true{{ end }}
{{- end }}

{{- /* It comes before everything else, and nothing stays of it when it succeeded. */}}
{{- define "assay.crdsHook" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}
