package web

import (
	"net/http"

	"github.com/proget-go/ha/proget"
)

// accountPath is the page where users change their own password.
const accountPath = "/account"

// account returns the name of the visitor's own account.
func (v *visit) account() (string, error) {
	if v.id.User != "" {
		return v.id.User, nil
	}
	if v.id.Anonymous() {
		return "", proget.Errorf(proget.ErrUnauthenticated, "Sign in first.")
	}
	return "", proget.Errorf(proget.ErrDenied, "An API key has no account: sign in with a user name and a password.")
}

func (s *site) showAccount(v *visit) error {
	return s.accountForm(v, refusal{status: http.StatusOK})
}

func (s *site) accountForm(v *visit, r refusal) error {
	if _, err := v.account(); err != nil {
		return err
	}
	return s.render(v, r.status, page{name: "account", title: "Your account", view: r})
}

// setPassword replaces the visitor's own password. It requires the current one, so that
// nobody can take over an account through an unattended browser.
func (s *site) setPassword(v *visit) error {
	name, err := v.account()
	if err != nil {
		return err
	}
	if v.PostFormValue("password") != v.PostFormValue("again") {
		return s.accountForm(v, refusal{"The two new passwords do not match.", http.StatusBadRequest})
	}
	_, err = s.Authority.CheckPassword(v.Request, name, v.PostFormValue("current"))
	if r, ok := s.rejected(v, name, err); ok {
		if r.status == http.StatusUnauthorized {
			r.Message = "The current password is wrong."
		}
		return s.accountForm(v, r)
	}
	if err != nil {
		return err
	}
	err = s.Admin.SetPassword(v.Context(), name, v.PostFormValue("password"), v.id.Principal)
	if r, ok := refused(err); ok {
		return s.accountForm(v, r)
	}
	if err != nil {
		return err
	}
	return v.redirect(signInURL(accountPath))
}
