package edge

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"

	"ecommerce-stack.dev/hack/bench/internal/shop"
)

// users is the number of users, each with a token.
const users = 1000

// writeKeys creates the key that every gateway verifies tokens with, and the tokens.
func (e *Edge) writeKeys() error {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // It never fails.
	keys := fmt.Sprintf(`{"keys":[{"kty":"oct","alg":"HS256","use":"sig","kid":"bench","k":%q}]}`, base64.RawURLEncoding.EncodeToString(secret))
	e.keysFile = filepath.Join(e.dir, "keys.json")
	if err := os.WriteFile(e.keysFile, []byte(keys), 0o600); err != nil {
		return err
	}
	signer, err := shop.NewSigner(e.keysFile)
	if err != nil {
		return err
	}
	e.tokens = nil
	for i := range users {
		e.tokens = append(e.tokens, signer.Token(int64(i+1), "Client"))
	}
	return nil
}
