package npm

import (
	"encoding/json"
	"io"
	"net/http"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// login takes a user's name and password and responds with a token. "npm login" falls
// back to it if there is no page for signing in.
func (h *handler) login(w http.ResponseWriter, r *feed.Request, rt route) error {
	var body struct{ Name, Password string }
	text, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	if err != nil || json.Unmarshal(text, &body) != nil || body.Name != rt.arg {
		return proget.WrapError(proget.ErrInvalid, err, "The body does not name the user and the password.")
	}
	token, err := h.services.Tokens.Token(r.Request, body.Name, body.Password)
	if err != nil {
		return err
	}
	return answer(w, http.StatusCreated, map[string]any{"ok": true, "id": userPrefix + body.Name, "rev": "1", "token": token})
}

func (h *handler) whoami(w http.ResponseWriter, r *feed.Request, rt route) error {
	if r.Principal.Anonymous() {
		return proget.Errorf(proget.ErrUnauthenticated, "You are not signed in: use npm login, or an API key as _authToken.")
	}
	w.Header().Set("Cache-Control", "no-store")
	name := r.Principal.String()
	if rt.action == profile {
		return feed.ServeJSON(w, r, jsonType, map[string]any{"name": name, "email": "", "tfa": false})
	}
	return feed.ServeJSON(w, r, jsonType, map[string]string{"username": name})
}

// noAdvisories is the response to an audit that knows nothing against any package.
var noAdvisories = map[string]any{
	"actions": []any{}, "advisories": struct{}{}, "muted": []any{},
	"metadata": map[string]any{
		"vulnerabilities": map[string]int{"info": 0, "low": 0, "moderate": 0, "high": 0, "critical": 0},
		"dependencies":    0, "devDependencies": 0, "optionalDependencies": 0, "totalDependencies": 0,
	},
}
