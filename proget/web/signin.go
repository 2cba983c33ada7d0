package web

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/auth"
)

// signInView is the data of sign-in.tmpl.
type signInView struct {
	User, Return, Message string
}

const (
	signInPath  = "/sign-in"
	signOutPath = "/sign-out"
)

func signInURL(comeBack string) string {
	return signInPath + "?" + url.Values{"return": {comeBack}}.Encode()
}

// safeReturn returns path if it leads to this site, otherwise the path of the feeds.
// Browsers treat "//host" and "/\host" as another site.
func safeReturn(path string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") || strings.HasPrefix(path, signInPath) {
		return "/feeds"
	}
	return path
}

func (s *site) showSignIn(v *visit) error {
	return s.signInForm(v, http.StatusOK, signInView{Return: safeReturn(v.URL.Query().Get("return"))})
}

func (s *site) signInForm(v *visit, status int, view signInView) error {
	return s.render(v, status, page{name: "sign-in", title: "Sign in", view: view})
}

func (s *site) signIn(v *visit) error {
	view := signInView{User: v.PostFormValue("user"), Return: safeReturn(v.PostFormValue("return"))}
	secure := strings.HasPrefix(s.BaseURL(v.client), "https:")
	cookie, err := s.Authority.SignIn(v.Request, view.User, v.PostFormValue("password"), secure)
	if r, ok := s.rejected(v, view.User, err); ok {
		view.Message = r.Message
		return s.signInForm(v, r.status, view)
	}
	if err != nil {
		return err
	}
	s.setCookie(v, cookie)
	return v.redirect(view.Return)
}

// rejected returns the message for a password that was not accepted.
func (s *site) rejected(v *visit, user string, err error) (refusal, bool) {
	r := refusal{proget.Message(err), http.StatusUnauthorized}
	if errors.Is(err, proget.ErrThrottled) {
		r.status = http.StatusTooManyRequests
		v.w.Header().Set("Retry-After", strconv.Itoa(auth.RetryAfter(err)))
	} else if !errors.Is(err, proget.ErrUnauthenticated) {
		return refusal{}, false
	}
	s.Logger.WarnContext(v.Context(), "a sign-in was refused", "user", user, "remote", v.RemoteAddr, "forwarded", v.Header.Get("X-Forwarded-For"))
	return r, true
}

// setCookie sets a cookie that is sent to this site only.
func (s *site) setCookie(v *visit, cookie *http.Cookie) {
	cookie.Path = v.root + "/"
	http.SetCookie(v.w, cookie)
}

func (s *site) signOut(v *visit) error {
	s.setCookie(v, auth.SignOut())
	return v.redirect("/feeds")
}
