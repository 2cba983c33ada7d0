package node

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/proget-go/ha/proget/feed"
)

// healthReport is ProGet's health document. Its clients insist on the required fields.
type healthReport struct {
	ApplicationName       string            `json:"applicationName"`
	DatabaseStatus        string            `json:"databaseStatus"`
	DatabaseStatusDetails *string           `json:"databaseStatusDetails"`
	ExtensionsInstalled   map[string]string `json:"extensionsInstalled"`
	LicenseStatus         string            `json:"licenseStatus"`
	LicenseStatusDetail   *string           `json:"licenseStatusDetail"`
	VersionNumber         string            `json:"versionNumber"`
	ReleaseNumber         string            `json:"releaseNumber"`
	ServiceStatus         string            `json:"serviceStatus"`
	ServiceStatusDetail   *string           `json:"serviceStatusDetail"`
}

const (
	healthOK    = "OK"
	healthError = "Error"
)

// health answers as JSON, which ProGet's older clients expect without asking for it, or
// as text if the client prefers that.
func (n *Node) health(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("format") == "json" || !prefersText(r.Header.Get("Accept")) {
		n.healthJSON(w, r)
		return
	}
	report, code := n.healthReport(r)
	var said []string
	for _, detail := range []*string{report.DatabaseStatusDetails, report.ServiceStatusDetail} {
		if detail != nil {
			said = append(said, *detail)
		}
	}
	text := strings.Join(said, " ")
	if code == http.StatusOK {
		text = strings.TrimSuffix(healthOK+". "+text, ". ") // the details are warnings
	}
	feed.WriteText(w, r, code, text, nil)
}

func prefersText(accept string) bool {
	text, json := strings.Index(accept, "text/plain"), strings.Index(accept, "application/json")
	return text >= 0 && (json < 0 || text < json)
}

func (n *Node) healthJSON(w http.ResponseWriter, r *http.Request) {
	report, code := n.healthReport(r)
	feed.WriteJSON(w, code, report)
}

func (n *Node) healthReport(r *http.Request) (healthReport, int) {
	report := healthReport{
		ApplicationName: "ProGet", DatabaseStatus: healthOK, ExtensionsInstalled: map[string]string{},
		LicenseStatus: healthOK, VersionNumber: Version(), ReleaseNumber: Version(), ServiceStatus: healthOK,
	}
	code := http.StatusOK
	ctx, cancel := context.WithTimeout(r.Context(), healthPatience) // probes give up soon, too
	defer cancel()
	if err := n.cfg.DB.Ping(ctx); err != nil {
		detail := "The database cannot be reached."
		report.DatabaseStatus, report.DatabaseStatusDetails, code = healthError, &detail, http.StatusInternalServerError
	}
	if reasons := n.unready(); len(reasons) > 0 {
		detail := strings.Join(reasons, " ")
		report.ServiceStatus, report.ServiceStatusDetail, code = healthError, &detail, http.StatusInternalServerError
	}
	if warnings := n.warnings(); len(warnings) > 0 {
		detail := strings.Join(warnings, " ")
		if report.ServiceStatusDetail != nil {
			detail = *report.ServiceStatusDetail + " " + detail
		}
		report.ServiceStatusDetail = &detail
	}
	return report, code
}

const healthPatience = 2 * time.Second

// live reports that the process runs and serves. Nothing else that fails would be cured
// by a restart.
func (n *Node) live(w http.ResponseWriter, _ *http.Request) {
	feed.WriteJSON(w, http.StatusOK, map[string]bool{"live": true})
}

// readiness is the body of /health/ready.
type readiness struct {
	Ready   bool     `json:"ready"`
	Name    string   `json:"name"`
	Primary bool     `json:"primary"` // leads the indexing nodes
	Reasons []string `json:"reasons"` // why it is not ready

	// Warnings describe what does not work as it should, whether or not the node is
	// ready, such as full storage.
	Warnings []string `json:"warnings"`
}

// ready reports whether a load balancer should send requests here, and if not, why. A
// database failover does not make a node unready: it would affect all nodes, and cached
// packages are still served. The same applies to storage that is full, read-only, slow
// or gone, which the warnings report.
func (n *Node) ready(w http.ResponseWriter, _ *http.Request) {
	reasons := n.unready()
	code := http.StatusOK
	if len(reasons) > 0 {
		code = http.StatusServiceUnavailable
	}
	feed.WriteJSON(w, code, readiness{len(reasons) == 0, n.cfg.Name, n.primary(), append([]string{}, reasons...), append([]string{}, n.warnings()...)})
}
