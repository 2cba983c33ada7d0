package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/proget-go/ha/proget"
)

// A Keyring holds the cluster's encryption keys. The first one encrypts, all decrypt,
// so that keys can be changed without signing anyone out: add the new key in second
// place on every node, then move it to the first, then remove the old one.
type Keyring struct {
	keys []ringKey
}

type ringKey struct {
	aead        cipher.AEAD
	fingerprint string
}

// ErrSealed means that a text was not sealed with one of the ring's keys, or was
// modified.
var ErrSealed = errors.New("not sealed with a known key")

// ParseKeyring parses one or more keys of 32 or 64 hexadecimal digits, separated by
// commas or white space, as in PROGET_ENCRYPTION_KEY. It returns proget.ErrInvalid for
// anything else.
func ParseKeyring(text string) (*Keyring, error) {
	var ring Keyring
	for _, field := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || unicode.IsSpace(r) }) {
		secret, err := hex.DecodeString(field)
		if err != nil || (len(secret) != 16 && len(secret) != 32) {
			return nil, proget.Errorf(proget.ErrInvalid, "An encryption key has 32 or 64 hexadecimal digits, for example %s.", NewEncryptionKey())
		}
		key, err := newRingKey(secret)
		if err != nil {
			return nil, err
		}
		ring.keys = append(ring.keys, key)
	}
	if len(ring.keys) == 0 {
		return nil, proget.Errorf(proget.ErrInvalid, "There is no encryption key: give 32 hexadecimal digits, the same on every node, for example %s.", NewEncryptionKey())
	}
	return &ring, nil
}

// NewEncryptionKey returns a random key in the form that ParseKeyring accepts.
func NewEncryptionKey() string {
	secret := make([]byte, 16)
	_, _ = rand.Read(secret) // never fails
	return hex.EncodeToString(secret)
}

func newRingKey(secret []byte) (ringKey, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, "proget-go/ha seal", 32)
	if err != nil {
		return ringKey{}, fmt.Errorf("derive a key: %w", err)
	}
	fingerprint, err := hkdf.Key(sha256.New, secret, nil, "proget-go/ha fingerprint", 6)
	if err != nil {
		return ringKey{}, fmt.Errorf("derive a fingerprint: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return ringKey{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return ringKey{aead, hex.EncodeToString(fingerprint)}, err
}

// Fingerprints returns the fingerprints of the ring's keys, the encrypting one first.
// They reveal nothing about the keys; nodes compare them.
func (k *Keyring) Fingerprints() []string {
	var all []string
	for _, key := range k.keys {
		all = append(all, key.fingerprint)
	}
	return all
}

// Seal encrypts a text for a purpose. Open returns ErrSealed for any other purpose.
func (k *Keyring) Seal(purpose string, plain []byte) string {
	return base64.RawURLEncoding.EncodeToString(k.keys[0].aead.Seal(nil, nil, plain, []byte(purpose)))
}

// Open decrypts a result of Seal from any node with the same key, or returns ErrSealed.
func (k *Keyring) Open(purpose, sealed string) ([]byte, error) {
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		return nil, ErrSealed
	}
	for _, key := range k.keys {
		if plain, err := key.aead.Open(nil, nil, raw, []byte(purpose)); err == nil {
			return plain, nil
		}
	}
	return nil, ErrSealed
}
