package workload

// argoCD lists Argo CD's processes. The programs are v3.2.11, the chart's images
// v3.5.7: all that the chart sets by environment is known to both, and it gives no
// arguments but the program's name, which the image's entrypoint wants.
var argoCD = []Process{
	{
		Label: "argocd-redis", Component: "argocd", Binary: "lab-redis",
		Namespace: "argocd", Labels: app("argocd-redis"), Container: "redis",
		Ready: Check{Port: 6379},
		// The password is in REDIS_PASSWORD, as for redis-server.
		Args: func(l *Launch) []string { return []string{"--addr", l.PodIP + ":6379"} },
	},
	{
		Label: "argocd-repo-server", Component: "argocd", Binary: "argocd-repo-server",
		Namespace: "argocd", Labels: app("argocd-repo-server"), Container: "repo-server",
		// Not ?full=true, which always calls localhost:8081.
		Ready: Check{Port: 8084, Path: "/healthz"},
		Args: func(l *Launch) []string {
			return []string{"--address", l.PodIP, "--metrics-address", l.PodIP}
		},
		Env: func(l *Launch, env map[string]string) {
			argoEnvironment(l, env, "REDIS_SERVER")
			env["ARGOCD_APP_CONF_PATH"] = l.At("/app/config")
			env["ARGOCD_TLS_DATA_PATH"] = l.At("/app/config/tls")
			env["ARGOCD_SSH_DATA_PATH"] = l.At("/app/config/ssh")
			// No file, as /tmp may be shared with other labs and the path of a socket
			// is short; this one lives in the abstract namespace.
			env["ARGOCD_ASK_PASS_SOCK"] = "@platctl-lab-ask-pass-" + string(l.Pod.UID)
		},
	},
	{
		Label: "argocd-application-controller", Component: "argocd", Binary: "argocd-application-controller",
		Namespace: "argocd", Labels: app("argocd-application-controller"), Container: "application-controller",
		// It serves on all addresses.
		LocalPorts: []int{8082},
		Ready:      Check{Port: 8082, Path: "/healthz"},
		Args:       func(l *Launch) []string { return []string{"--metrics-port", l.Port(8082)} },
		Env: func(l *Launch, env map[string]string) {
			argoEnvironment(l, env, "REDIS_SERVER", "ARGOCD_APPLICATION_CONTROLLER_REPO_SERVER")
			// Nothing here takes time that a wave would have to wait for.
			env["ARGOCD_SYNC_WAVE_DELAY"] = "0"
		},
	},
	{
		Label: "argocd-applicationset-controller", Component: "argocd", Binary: "argocd-applicationset-controller",
		Namespace: "argocd", Labels: app("argocd-applicationset-controller"), Container: "applicationset-controller",
		// No check is registered, as the chart knows too.
		Ready: Check{Port: 8081},
		Args: func(l *Launch) []string {
			return []string{"--metrics-addr", l.PodIP + ":8080", "--probe-addr", l.PodIP + ":8081", "--webhook-addr", l.PodIP + ":7000"}
		},
		Env: func(l *Launch, env map[string]string) {
			argoEnvironment(l, env, "ARGOCD_APPLICATIONSET_CONTROLLER_REPO_SERVER")
		},
	},
	{
		Label: "argocd-server", Component: "argocd", Binary: "argocd-server",
		Namespace: "argocd", Labels: app("argocd-server"), Container: "server",
		Ready: Check{Port: 8080, Path: "/healthz"},
		Args: func(l *Launch) []string {
			return []string{"--address", l.PodIP, "--metrics-address", l.PodIP}
		},
		Env: func(l *Launch, env map[string]string) {
			argoEnvironment(l, env, "REDIS_SERVER", "ARGOCD_SERVER_REPO_SERVER")
		},
	},
}

// argoEnvironment leads to the servers named by variables past the HTTP proxy,
// which the Redis client does not use, and to the API server.
func argoEnvironment(l *Launch, env map[string]string, servers ...string) {
	for _, name := range servers {
		if address := env[name]; address != "" {
			env[name] = l.Service(address)
		}
	}
	// Checking signatures needs the image's GnuPG wrappers.
	env["ARGOCD_GPG_ENABLED"] = "false"
	if !l.kind.Around.Roots {
		// Destination https://kubernetes.default.svc is then what KUBECONFIG says.
		env["ARGOCD_FAKE_IN_CLUSTER"] = "true"
	}
}
