package auth

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/proget-go/ha/db"
	"github.com/proget-go/ha/proget"
)

// CookieName is the session cookie's name.
const CookieName = "proget_session"

// TokenLength is how long a token for a password is valid.
const TokenLength = 30 * 24 * time.Hour

// ExchangeLength is how long a token from Exchange is valid: clients request another by
// themselves.
const ExchangeLength = time.Hour

// SessionLength is how long a session lasts.
const SessionLength = 7 * 24 * time.Hour

// session is the content of a cookie or a token. It belongs to a user or, in a token,
// to an API key or to nobody.
type session struct {
	User    string    `json:"u,omitempty"`
	Epoch   int64     `json:"e,omitempty"`
	Key     string    `json:"k,omitempty"` // the key's hash
	Foreign bool      `json:"f,omitempty"` // Options.Identify named the user, who may have no account
	Expires time.Time `json:"x"`
}

const sessionPurpose = "session"

// SignIn checks a password and returns the session cookie, which is valid on every
// node; secure sets its Secure attribute.
func (a *Authority) SignIn(r *http.Request, name, password string, secure bool) (*http.Cookie, error) {
	u, err := a.CheckPassword(r, name, password)
	if err != nil {
		return nil, err
	}
	s := session{User: u.Name, Epoch: u.SessionEpoch, Expires: time.Now().Add(SessionLength)}
	plain, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	return &http.Cookie{Name: CookieName, Value: a.ring.Seal(sessionPurpose, plain), Path: "/", Expires: s.Expires,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: secure}, nil
}

// TokenPrefix distinguishes a token from an API key.
const TokenPrefix = "pgt_"

const tokenPurpose = "token"

// Token checks a password and returns a token that a program sends instead of an API
// key, to any node. It has the user's permissions and is valid for TokenLength, or
// until the user's password changes.
func (a *Authority) Token(r *http.Request, name, password string) (string, error) {
	u, err := a.CheckPassword(r, name, password)
	if err != nil {
		return "", err
	}
	return a.seal(session{User: u.Name, Epoch: u.SessionEpoch, Expires: time.Now().Add(TokenLength)})
}

// Exchange returns a token for the sender of the request, who may be anonymous, and how
// long it is valid: for ExchangeLength, but not longer than the credentials, which may
// themselves be a token. It has the permissions of the credentials, and ends with them:
// a password that changes meanwhile leaves a token that is void.
func (a *Authority) Exchange(r *http.Request) (token string, good time.Duration, err error) {
	id, err := a.Authenticate(r)
	if err != nil {
		return "", 0, err
	}
	s := session{User: id.User, Epoch: id.epoch, Foreign: id.foreign, Expires: time.Now().Add(ExchangeLength)}
	if !id.expires.IsZero() && id.expires.Before(s.Expires) {
		s.Expires = id.expires
	}
	if id.key != nil {
		s.Key = id.key.Hash
	}
	token, err = a.seal(s)
	return token, time.Until(s.Expires), err
}

func (a *Authority) seal(s session) (string, error) {
	plain, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	return TokenPrefix + a.ring.Seal(tokenPurpose, plain), nil
}

func (a *Authority) byToken(ctx context.Context, sealed string) (Identity, error) {
	s, err := a.open(tokenPurpose, sealed)
	if err != nil {
		return Identity{}, errKey
	}
	id := Identity{expires: s.Expires}
	switch {
	case s.Key != "":
		id, err = a.byHash(ctx, s.Key)
		id.expires = s.Expires
	case s.Foreign:
		id.User, id.foreign = s.User, true
	case s.User != "":
		var u db.User
		if u, err = a.holder(ctx, s); errors.Is(err, proget.ErrNotFound) {
			err = errKey
		}
		id.User, id.epoch = u.Name, u.SessionEpoch
	}
	return id, err
}

// SignOut returns the cookie that ends a browser's session.
func SignOut() *http.Cookie {
	return &http.Cookie{Name: CookieName, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode}
}

// bySession treats an expired cookie like none, so that pages offer to sign in.
func (a *Authority) bySession(ctx context.Context, cookie string) (Identity, error) {
	s, err := a.open(sessionPurpose, cookie)
	if err != nil {
		return Identity{}, nil
	}
	u, err := a.holder(ctx, s)
	if errors.Is(err, proget.ErrNotFound) {
		return Identity{}, nil
	}
	if err != nil {
		return Identity{}, err
	}
	return Identity{Principal: proget.Principal{User: u.Name}, epoch: u.SessionEpoch, Session: true}, nil
}

// open returns the content of a cookie or a token, or proget.ErrNotFound if it is
// invalid or has expired.
func (a *Authority) open(purpose, sealed string) (s session, err error) {
	plain, err := a.ring.Open(purpose, sealed)
	if err != nil || json.Unmarshal(plain, &s) != nil || time.Now().After(s.Expires) {
		return s, errNoSession
	}
	return s, nil
}

// holder returns the user of a session, or proget.ErrNotFound if it has ended.
func (a *Authority) holder(ctx context.Context, s session) (db.User, error) {
	u, err := a.user(ctx, a.memory(), s.User)
	if err == nil && u.SessionEpoch != s.Epoch {
		return db.User{}, errNoSession
	}
	return u, err
}
