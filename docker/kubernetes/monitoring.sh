#!/bin/sh
# Prints what Prometheus' operator takes to scrape the Pods and to alert, with the rules of docker/prometheus:
#   RELEASE=kube-prometheus-stack docker/kubernetes/monitoring.sh | kubectl apply -f -
# RELEASE is the label `release` that the operator's Prometheus selects.
set -eu
rules=$(dirname "$0")/../prometheus

head() {
    printf -- '---\napiVersion: monitoring.coreos.com/v1\nkind: %s\n' "$1"
    printf 'metadata: {name: %s, namespace: tagwerk, labels: {release: %s}}\nspec:\n' "$2" "${RELEASE:-prometheus}"
}

head PodMonitor tagwerk
cat <<'EOF'
  selector: {matchLabels: {app.kubernetes.io/name: tagwerk}}
  podMetricsEndpoints:
    - port: http
      path: /metrics
      interval: 15s
      relabelings: [{sourceLabels: [__meta_kubernetes_pod_name], targetLabel: instance}] # what the alerts name
EOF
for name in recording alerts; do
    head PrometheusRule "tagwerk-$name"
    sed 's/^/  /' "$rules/$name.yml"
done
