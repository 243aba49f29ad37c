package workload

import (
	"os"
	"path/filepath"
	"strings"
)

// gitea runs on the chart's own app.ini and init container. The chart's image is
// newer (1.27.3) than the program (1.26.0), which knows all of its settings.
var gitea = Process{
	Label: "gitea", Component: "git", Binary: "gitea",
	Namespace: "gitea", Labels: app("gitea"), Container: "gitea", Init: "prepare",
	Ready:   Check{Port: 3000, Path: "/api/healthz"},
	Prepare: writeGiteaConfig,
	Args:    func(*Launch) []string { return []string{"web"} },
	Env: func(l *Launch, env map[string]string) {
		env["GITEA_WORK_DIR"] = l.At("/var/lib/gitea")
		// The image has a script that gives --config to each call; this is all that
		// the program itself knows.
		env["GITEA_CUSTOM"] = giteaCustom(l)
		// The container's user need not have a name here.
		env["USER"] = "git"
		env["GITEA_I_AM_BEING_UNSAFE_RUNNING_AS_ROOT"] = "true"
	},
}

func giteaCustom(l *Launch) string { return filepath.Join(filepath.Dir(l.Root), "custom") }

// writeGiteaConfig adapts the chart's app.ini: paths, the address, and the files
// that the image has and the Go module has not.
func writeGiteaConfig(l *Launch) error {
	text, err := os.ReadFile(l.Path("/etc/gitea/app.ini"))
	if err != nil {
		return err
	}
	var moved []string
	for _, mount := range l.container.VolumeMounts {
		moved = append(moved, mount.MountPath, l.At(mount.MountPath))
	}
	// Of a key that is given twice, the last counts.
	adapted := strings.NewReplacer(moved...).Replace(string(text)) +
		"\n[server]\nHTTP_ADDR = " + l.PodIP +
		"\nLOCAL_ROOT_URL = http://" + l.PodIP + ":3000/" +
		"\nSTATIC_ROOT_PATH = " + filepath.Join(l.BinDir, "gitea-static") + "\n"
	file := filepath.Join(giteaCustom(l), "conf", "app.ini")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	_ = os.Remove(file)
	// Not to be written by Gitea, as in the container.
	return os.WriteFile(file, []byte(adapted), 0o400)
}
