//! Makes the TLS of a connection, by rustls or by the library of the operating system.

use super::error::EndpointError;
use super::ssl::Certificates;
#[cfg(any(feature = "native-tls", feature = "rustls"))]
use crate::base::files;

#[cfg(any(feature = "native-tls", feature = "rustls"))]
const LIMIT: usize = 4 << 20;

#[derive(Clone)]
pub(super) enum Tls {
    Off,
    #[cfg(feature = "rustls")]
    Rustls(tokio_postgres_rustls::MakeRustlsConnect),
    #[cfg(feature = "native-tls")]
    Native(postgres_native_tls::MakeTlsConnector),
}

impl Tls {
    // Without TLS, the arguments are unused, and nothing fails.
    #[cfg_attr(
        not(any(feature = "native-tls", feature = "rustls")),
        allow(unused_variables, clippy::unnecessary_wraps)
    )]
    #[cfg_attr(not(feature = "native-tls"), allow(unused_variables))]
    pub(super) fn new(
        certificates: &Certificates,
        native_tls: bool,
    ) -> Result<Self, EndpointError> {
        #[cfg(feature = "native-tls")]
        if native_tls {
            return native::connector(certificates).map(Tls::Native);
        }
        #[cfg(feature = "rustls")]
        return rustls_tls::connector(certificates).map(Tls::Rustls);
        #[cfg(not(feature = "rustls"))]
        Ok(Tls::Off)
    }
}

#[cfg(feature = "native-tls")]
mod native {
    use native_tls::{Certificate, Identity, TlsConnector};
    use postgres_native_tls::MakeTlsConnector;

    use super::super::error::EndpointError;
    use super::super::ssl::{Certificates, Verify};
    use super::{LIMIT, files};

    fn refused(what: &str, error: &native_tls::Error) -> EndpointError {
        EndpointError::tls(format!("{what}: {error}"))
    }

    pub(super) fn connector(of: &Certificates) -> Result<MakeTlsConnector, EndpointError> {
        let mut builder = TlsConnector::builder();
        builder
            .danger_accept_invalid_certs(of.verify == Verify::Nothing)
            .danger_accept_invalid_hostnames(of.verify != Verify::ChainAndName);
        if let Some(file) = &of.roots {
            let roots = Certificate::stack_from_pem(&files::read(file, LIMIT)?)
                .map_err(|error| refused(&file.display().to_string(), &error))?;
            if roots.is_empty() {
                let why = format!("{} has no certificate", file.display());
                return Err(EndpointError::tls(why));
            }
            builder.disable_built_in_roots(true);
            for root in roots {
                builder.add_root_certificate(root);
            }
        }
        if let Some((certificate, key)) = &of.identity {
            let identity =
                Identity::from_pkcs8(&files::read(certificate, LIMIT)?, &files::read(key, LIMIT)?);
            builder.identity(
                identity.map_err(|error| refused(&certificate.display().to_string(), &error))?,
            );
        }
        let connector = builder.build().map_err(|error| refused("TLS", &error))?;
        Ok(MakeTlsConnector::new(connector))
    }
}

#[cfg(feature = "rustls")]
mod rustls_tls {
    use std::path::Path;
    use std::sync::Arc;

    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::crypto::CryptoProvider;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
    use rustls::{
        CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore,
        SignatureScheme,
    };
    use tokio_postgres_rustls::MakeRustlsConnect;

    use super::super::error::EndpointError;
    use super::super::ssl::{Certificates, Verify};
    use super::{LIMIT, files};

    pub(super) fn connector(of: &Certificates) -> Result<MakeRustlsConnect, EndpointError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let refused = |error: &dyn std::fmt::Display| EndpointError::tls(error.to_string());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| refused(&error))?;
        let builder = match of.verify {
            Verify::ChainAndName => builder.with_root_certificates(roots(of)?),
            Verify::Chain => {
                let all = WebPkiServerVerifier::builder_with_provider(
                    Arc::new(roots(of)?),
                    Arc::clone(&provider),
                );
                let all = all.build().map_err(|error| refused(&error))?;
                let chain = Arc::new(ChainOnly(all));
                builder.dangerous().with_custom_certificate_verifier(chain)
            }
            Verify::Nothing => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Unverified(provider))),
        };
        let config = match &of.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let key = PrivateKeyDer::from_pem_slice(&files::read(key, LIMIT)?)
                    .map_err(|_| EndpointError::tls(format!("{} has no key", key.display())))?;
                builder
                    .with_client_auth_cert(of_file(certificate)?, key)
                    .map_err(|error| refused(&error))?
            }
        };
        Ok(MakeRustlsConnect::new(config))
    }

    fn of_file(file: &Path) -> Result<Vec<CertificateDer<'static>>, EndpointError> {
        let bytes = files::read(file, LIMIT)?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
        let certificates = certificates.unwrap_or_default();
        if certificates.is_empty() {
            let why = format!("{} has no certificate", file.display());
            return Err(EndpointError::tls(why));
        }
        Ok(certificates)
    }

    fn roots(of: &Certificates) -> Result<RootCertStore, EndpointError> {
        let mut store = RootCertStore::empty();
        let Some(file) = &of.roots else {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if store.is_empty() {
                let why = "the operating system has no certificates of authorities";
                return Err(EndpointError::tls(why));
            }
            return Ok(store);
        };
        for certificate in of_file(file)? {
            store
                .add(certificate)
                .map_err(|error| EndpointError::tls(format!("{}: {error}", file.display())))?;
        }
        Ok(store)
    }

    /// Verifies the chain, and not the name: `verify-ca`.
    #[derive(Debug)]
    struct ChainOnly(Arc<WebPkiServerVerifier>);

    impl ServerCertVerifier for ChainOnly {
        fn verify_server_cert(
            &self,
            end_entity: &CertificateDer<'_>,
            intermediates: &[CertificateDer<'_>],
            server_name: &ServerName<'_>,
            ocsp_response: &[u8],
            now: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            // The name is compared last, after the chain.
            match self.0.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                now,
            ) {
                Err(Error::InvalidCertificate(
                    CertificateError::NotValidForName
                    | CertificateError::NotValidForNameContext { .. },
                )) => Ok(ServerCertVerified::assertion()),
                other => other,
            }
        }

        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            self.0.verify_tls12_signature(message, cert, dss)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            self.0.verify_tls13_signature(message, cert, dss)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.supported_verify_schemes()
        }
    }

    /// Verifies only that the server has the key of its certificate: `require` without a file of authorities.
    #[derive(Debug)]
    struct Unverified(Arc<CryptoProvider>);

    impl ServerCertVerifier for Unverified {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let known = &self.0.signature_verification_algorithms;
            rustls::crypto::verify_tls12_signature(message, cert, dss, known)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let known = &self.0.signature_verification_algorithms;
            rustls::crypto::verify_tls13_signature(message, cert, dss, known)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.signature_verification_algorithms.supported_schemes()
        }
    }
}
