package lock

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
)

// What WinVerifyTrust found is read by these three:
// https://learn.microsoft.com/en-us/windows/win32/api/wintrust/nf-wintrust-wthelperprovdatafromstatedata
//sys	wtHelperProvDataFromStateData(state windows.Handle) (data uintptr) = wintrust.WTHelperProvDataFromStateData
//
// https://learn.microsoft.com/en-us/windows/win32/api/wintrust/nf-wintrust-wthelpergetprovsignerfromchain
//sys	wtHelperGetProvSignerFromChain(data uintptr, signer uint32, counter bool, counterSigner uint32) (sgnr uintptr) = wintrust.WTHelperGetProvSignerFromChain
//
// https://learn.microsoft.com/en-us/windows/win32/api/wintrust/nf-wintrust-wthelpergetprovcertfromchain
//sys	wtHelperGetProvCertFromChain(sgnr uintptr, index uint32) (cert uintptr) = wintrust.WTHelperGetProvCertFromChain

// cryptProviderCert is the beginning of CRYPT_PROVIDER_CERT:
// https://learn.microsoft.com/en-us/windows/win32/api/wintrust/ns-wintrust-crypt_provider_cert
type cryptProviderCert struct {
	Size uint32
	Cert *windows.CertContext
}

var errUnsigned = errors.New("no signer is named")

// signer returns who has signed an open executable, as Windows shows it, if the signature is good and of a publisher that
// this machine trusts. Nothing is asked of the network, so that a certificate that was revoked since is not noticed.
// A signature in a catalog, as Windows' own programs have, is none.
func signer(file windows.Handle, path string) (name string, err error) {
	shown, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return "", err
	}
	about := &windows.WinTrustFileInfo{FilePath: shown, File: file}
	about.Size = uint32(unsafe.Sizeof(*about))
	data := &windows.WinTrustData{UIChoice: windows.WTD_UI_NONE, RevocationChecks: windows.WTD_REVOKE_NONE, UnionChoice: windows.WTD_CHOICE_FILE,
		FileOrCatalogOrBlobOrSgnrOrCert: unsafe.Pointer(about), StateAction: windows.WTD_STATEACTION_VERIFY,
		ProvFlags: windows.WTD_CACHE_ONLY_URL_RETRIEVAL | windows.WTD_DISABLE_MD2_MD4}
	data.Size = uint32(unsafe.Sizeof(*data))
	defer func() {
		data.StateAction = windows.WTD_STATEACTION_CLOSE
		_ = windows.WinVerifyTrustEx(windows.InvalidHWND, &windows.WINTRUST_ACTION_GENERIC_VERIFY_V2, data)
	}()
	if err := windows.WinVerifyTrustEx(windows.InvalidHWND, &windows.WINTRUST_ACTION_GENERIC_VERIFY_V2, data); err != nil {
		return "", fmt.Errorf("check a signature: %w", err)
	}
	return signerName(data.StateData)
}

// signerName is the name in the first signer's own certificate.
func signerName(checked windows.Handle) (string, error) {
	found := wtHelperProvDataFromStateData(checked)
	if found == 0 {
		return "", errUnsigned
	}
	sgnr := wtHelperGetProvSignerFromChain(found, 0, false, 0)
	if sgnr == 0 {
		return "", errUnsigned
	}
	at := wtHelperGetProvCertFromChain(sgnr, 0)
	cert := *(**cryptProviderCert)(unsafe.Pointer(&at)) // not Go's memory; it lives until the check is closed
	if cert == nil || cert.Cert == nil {
		return "", errUnsigned
	}
	var b [512]uint16
	n := windows.CertGetNameString(cert.Cert, windows.CERT_NAME_SIMPLE_DISPLAY_TYPE, 0, nil, &b[0], uint32(len(b)))
	if n <= 1 {
		return "", errUnsigned
	}
	return windows.UTF16ToString(b[:n]), nil
}
