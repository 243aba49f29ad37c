// The paths of Grafana's HTTP interface that probes, people at a shell and tests ask for.
package main

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"time"
)

const sessionCookie = "grafana_session"

type server struct {
	settings    settings
	provisioned provisioned
	session     string // the only session there is, new at each start
}

func newServer(settings settings, provisioned provisioned) (http.Handler, error) {
	s := &server{settings: settings, provisioned: provisioned, session: rand.Text()}
	open, closed := http.NewServeMux(), http.NewServeMux()
	open.HandleFunc("GET /api/health", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"database": "ok", "version": versionName})
	})
	open.HandleFunc("GET /login", s.loginPage)
	open.HandleFunc("POST /login", s.login)
	open.Handle("/", s.authenticated(closed))

	closed.HandleFunc("GET /{$}", s.home)
	closed.HandleFunc("GET /api/user", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"login": settings.user, "isGrafanaAdmin": true})
	})
	closed.HandleFunc("GET /api/datasources", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, s.provisioned.datasources)
	})
	closed.HandleFunc("GET /api/datasources/uid/{uid}", s.datasource)
	closed.HandleFunc("GET /api/datasources/uid/{uid}/health", s.datasourceHealth)
	closed.HandleFunc("GET /api/search", s.search)
	closed.HandleFunc("GET /api/dashboards/uid/{uid}", s.dashboard)
	for _, source := range provisioned.datasources {
		prefix := "/api/datasources/proxy/uid/" + source.UID
		proxy, err := newProxy(source.URL)
		if err != nil {
			return nil, err
		}
		closed.Handle(prefix+"/", http.StripPrefix(prefix, proxy))
	}
	closed.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusNotFound, message("the lab's stand-in for Grafana does not have this"))
	})
	return logged(open), nil
}

// newProxy passes requests on without what the caller has shown to Grafana.
func newProxy(address string) (http.Handler, error) {
	target, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	return &httputil.ReverseProxy{
		Rewrite: func(request *httputil.ProxyRequest) {
			request.SetURL(target)
			request.Out.Header.Del("Authorization")
			request.Out.Header.Del("Cookie")
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			answer(w, http.StatusBadGateway, message(fmt.Sprintf("cannot reach %s: %v", address, err)))
		},
	}, nil
}

func (s *server) authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, basic := r.BasicAuth()
		cookie, err := r.Cookie(sessionCookie)
		switch {
		case basic && s.isAdministrator(user, password), !basic && err == nil && isEqual(cookie.Value, s.session):
			next.ServeHTTP(w, r)
		case basic || strings.HasPrefix(r.URL.Path, "/api/"):
			answer(w, http.StatusUnauthorized, message("Unauthorized"))
		default:
			http.Redirect(w, r, "/login", http.StatusFound)
		}
	})
}

func (s *server) isAdministrator(user, password string) bool {
	return isEqual(user, s.settings.user) && isEqual(password, s.settings.password)
}

func isEqual(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

func (s *server) loginPage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprint(w, "<!doctype html><title>Stand-in for Grafana</title><p>The lab's stand-in for Grafana. POST {user, password} here as JSON.")
}

func (s *server) login(w http.ResponseWriter, r *http.Request) {
	var form struct{ User, Password string }
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&form); err != nil {
		answer(w, http.StatusBadRequest, message("bad login data"))
		return
	}
	if !s.isAdministrator(form.User, form.Password) {
		answer(w, http.StatusUnauthorized, message("Invalid username or password"))
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: sessionCookie, Value: s.session, Path: "/", HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode,
	})
	answer(w, http.StatusOK, message("Logged in"))
}

func (s *server) home(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, "The lab's stand-in for Grafana. It has read these dashboards and can show none of them:")
	for _, dashboard := range s.dashboards() {
		fmt.Fprintf(w, "%s / %s\n", dashboard.folder, dashboard.title)
	}
}

func (s *server) datasource(w http.ResponseWriter, r *http.Request) {
	if source := s.find(r); source != nil {
		answer(w, http.StatusOK, source)
		return
	}
	answer(w, http.StatusNotFound, message("Data source not found"))
}

// datasourceHealth asks Loki what Grafana asks it.
func (s *server) datasourceHealth(w http.ResponseWriter, r *http.Request) {
	source := s.find(r)
	if source == nil {
		answer(w, http.StatusNotFound, message("Data source not found"))
		return
	}
	client := http.Client{Timeout: 10 * time.Second}
	response, err := client.Get(source.URL + "/loki/api/v1/query?query=" + url.QueryEscape("vector(1)+vector(1)"))
	if err == nil {
		response.Body.Close()
		if response.StatusCode == http.StatusOK {
			answer(w, http.StatusOK, map[string]string{"status": "OK", "message": "Data source successfully connected."})
			return
		}
		err = fmt.Errorf("it answers %s", response.Status)
	}
	answer(w, http.StatusBadRequest, map[string]string{"status": "ERROR", "message": err.Error()})
}

func (s *server) find(r *http.Request) *datasource {
	uid := r.PathValue("uid")
	index := slices.IndexFunc(s.provisioned.datasources, func(source datasource) bool { return source.UID == uid })
	if index < 0 {
		return nil
	}
	return &s.provisioned.datasources[index]
}

// dashboards reads the files anew, as Grafana does now and then. Broken ones leave what was there at the start.
func (s *server) dashboards() []dashboard {
	fresh, err := load(s.settings.provisioning)
	if err != nil {
		log.Printf("level=error msg=%q", fmt.Sprintf("cannot use the changed provisioning files: %v", err))
		return s.provisioned.dashboards
	}
	return fresh.dashboards
}

func (s *server) search(w http.ResponseWriter, _ *http.Request) {
	found := []map[string]string{}
	for _, dashboard := range s.dashboards() {
		found = append(found, map[string]string{
			"type": "dash-db", "uid": dashboard.uid, "title": dashboard.title, "url": "/d/" + dashboard.uid,
			"folderUid": dashboard.folderUID, "folderTitle": dashboard.folder,
		})
	}
	answer(w, http.StatusOK, found)
}

func (s *server) dashboard(w http.ResponseWriter, r *http.Request) {
	for _, dashboard := range s.dashboards() {
		if dashboard.uid == r.PathValue("uid") {
			answer(w, http.StatusOK, map[string]any{
				"dashboard": dashboard.model,
				"meta":      map[string]any{"provisioned": true, "folderUid": dashboard.folderUID, "folderTitle": dashboard.folder},
			})
			return
		}
	}
	answer(w, http.StatusNotFound, message("Dashboard not found"))
}

func message(text string) map[string]string { return map[string]string{"message": text} }

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		log.Printf("level=warn msg=%q", fmt.Sprintf("cannot send an answer: %v", err))
	}
}

// logged writes a line for each request that is no probe.
func logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/health" {
			log.Printf("level=info msg=%q method=%s path=%q", "request", r.Method, r.URL.Path)
		}
		next.ServeHTTP(w, r)
	})
}
