{{- /* A map of settings as the env list of a container, in order of name. */}}
{{- define "tollhouse.settings" -}}
{{- $env := list -}}
{{- range $name, $value := . -}}
{{- $env = append $env (dict "name" $name "value" $value) -}}
{{- end -}}
{{- toJson $env -}}
{{- end -}}
