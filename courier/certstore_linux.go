package courier

import "errors"

func storeKeys(string) (keys, error) {
	return nil, errors.New("a certificate by its thumbprint is for Windows; name files with --cert and --key")
}
