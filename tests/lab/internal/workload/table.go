package workload

// Table lists the real programs of the lab. A program whose binary is not there,
// or whose component is not chosen, is simulated like any other pod.
var Table = append([]Process{
	{
		Label: "istiod", Component: "istiod", Binary: "pilot-discovery",
		Namespace: "istio-system", Labels: app("istiod"), Container: "discovery",
		Ready: Check{Port: 8080, Path: "/ready"},
		Args: func(l *Launch) []string {
			return SetFlags(l.Given, map[string]string{
				"httpAddr": l.PodIP + ":8080", "httpsAddr": l.PodIP + ":15017", "grpcAddr": l.PodIP + ":15010",
				"secureGRPCAddr": l.PodIP + ":15012", "monitoringAddr": l.PodIP + ":15014", "ctrlz_address": l.PodIP,
			})
		},
	},
	{
		Label: "cnpg", Component: "cnpg", Binary: "cnpg-manager",
		Namespace: "cnpg-system", Labels: app("cloudnative-pg"), Container: "manager",
		LocalPorts: []int{9443, 8080},
		Ready:      Check{Port: 9443, Path: "/readyz", TLS: true},
		// It looks for operator/manager_<arch> where it is started.
		Dir: func(l *Launch) string { return l.BinDir + "/cnpg" },
		Args: func(l *Launch) []string {
			return SetFlags(l.Given, map[string]string{
				"webhook-port": l.Port(9443), "metrics-bind-address": l.Address(8080),
			})
		},
	},
	gitea,
}, argoCD...)

func app(name string) map[string]string {
	return map[string]string{"app.kubernetes.io/name": name}
}
