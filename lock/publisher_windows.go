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

// cryptProviderSgnr is CRYPT_PROVIDER_SGNR:
// https://learn.microsoft.com/en-us/windows/win32/api/wintrust/ns-wintrust-crypt_provider_sgnr
type cryptProviderSgnr struct {
	Size           uint32
	VerifyAsOf     windows.Filetime
	CertChainLen   uint32
	CertChain      uintptr
	SignerType     uint32
	Signer         uintptr
	Error          uint32
	CounterSigners uint32
	CounterSigner  uintptr
	ChainContext   *windows.CertChainContext
}

// cryptProviderCert is the beginning of CRYPT_PROVIDER_CERT:
// https://learn.microsoft.com/en-us/windows/win32/api/wintrust/ns-wintrust-crypt_provider_cert
type cryptProviderCert struct {
	Size uint32
	Cert *windows.CertContext
}

var (
	errUnsigned  = errors.New("no signer is named")
	errUntrusted = errors.New("check a signature: nobody whom this machine trusts has certified the signer")
)

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

// untrusted is what must not be said of a chain: WinVerifyTrust itself is content with less where it is set to accept the
// roots of tests.
const untrusted = windows.CERT_TRUST_IS_UNTRUSTED_ROOT | windows.CERT_TRUST_IS_PARTIAL_CHAIN |
	windows.CERT_TRUST_IS_NOT_SIGNATURE_VALID | windows.CERT_TRUST_IS_EXPLICIT_DISTRUST

// signerName is the name in the first signer's own certificate.
func signerName(checked windows.Handle) (string, error) {
	found := wtHelperProvDataFromStateData(checked)
	if found == 0 {
		return "", errUnsigned
	}
	at := wtHelperGetProvSignerFromChain(found, 0, false, 0)
	sgnr := *(**cryptProviderSgnr)(unsafe.Pointer(&at)) // not Go's memory; it lives until the check is closed
	if sgnr == nil {
		return "", errUnsigned
	}
	if chain := sgnr.ChainContext; chain == nil || chain.TrustStatus.ErrorStatus&untrusted != 0 {
		return "", errUntrusted
	}
	at = wtHelperGetProvCertFromChain(at, 0)
	cert := *(**cryptProviderCert)(unsafe.Pointer(&at))
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
