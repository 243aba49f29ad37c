// A stand-in for Grafana in the lab, for what the chart grafana relies on: it reads the same provisioning files and refuses
// to start on those that Grafana would not make work, knows the same administrator, and passes queries on to Loki. It has
// no user interface, no database, and no other data source. It never claims to be Grafana: see versionName.
package main

import (
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

const versionName = "0.0.0-lab-stand-in"

// settings are those of Grafana's settings that the stand-in heeds, by Grafana's own names.
type settings struct {
	user, password string
	port           string
	provisioning   string
	data           string
}

func main() {
	log.SetFlags(0)
	if err := run(); err != nil {
		log.Fatalf("level=error msg=%q", err)
	}
}

func run() error {
	settings, err := readSettings()
	if err != nil {
		return err
	}
	if err := checkWritable(settings.data); err != nil {
		return err
	}
	provisioned, err := load(settings.provisioning)
	if err != nil {
		return fmt.Errorf("cannot use the provisioning files: %w", err)
	}
	handler, err := newServer(settings, provisioned)
	if err != nil {
		return err
	}
	log.Printf("level=info msg=%q port=%s datasources=%d dashboards=%d",
		"lab stand-in for Grafana is listening", settings.port, len(provisioned.datasources), len(provisioned.dashboards))
	server := http.Server{Addr: ":" + settings.port, Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	return server.ListenAndServe()
}

func readSettings() (settings, error) {
	settings := settings{
		user:         os.Getenv("GF_SECURITY_ADMIN_USER"),
		password:     os.Getenv("GF_SECURITY_ADMIN_PASSWORD"),
		port:         setting("GF_SERVER_HTTP_PORT", "3000"),
		provisioning: setting("GF_PATHS_PROVISIONING", "/etc/grafana/provisioning"),
		data:         setting("GF_PATHS_DATA", "/var/lib/grafana"),
	}
	// Grafana would take admin and admin, which the platform must never come to.
	if settings.user == "" || settings.password == "" {
		return settings, errors.New("no administrator: set GF_SECURITY_ADMIN_USER and GF_SECURITY_ADMIN_PASSWORD")
	}
	return settings, nil
}

func setting(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}

// checkWritable fails where Grafana could not make its database.
func checkWritable(directory string) error {
	path := filepath.Join(directory, "grafana.db")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return fmt.Errorf("cannot write the database: %w; mount a volume there that user %d may write", err, os.Getuid())
	}
	return file.Close()
}
