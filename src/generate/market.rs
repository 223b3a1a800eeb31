//! The markets that accounts sign up in, the more populous first, and the currencies that they are billed in.

use super::draw::Draw;

/// A billing currency. `minor_unit` is ISO 4217's; `per_usd_milli` a rounded rate, good enough for sample prices.
#[derive(Debug, PartialEq, Eq)]
pub struct Currency {
    pub code: &'static str,
    pub minor_unit: u32,
    pub per_usd_milli: i64,
}

impl Currency {
    const fn new(code: &'static str, minor_unit: u32, per_usd_milli: i64) -> Self {
        Currency { code, minor_unit, per_usd_milli }
    }

    /// A price in US cents as an amount of this currency in whole minor units, scaled to NUMERIC's nine decimals.
    pub fn amount(&self, usd_cents: i64) -> i128 {
        let minor_units = usd_cents * self.per_usd_milli * 10_i64.pow(self.minor_unit) / 100_000;
        i128::from(minor_units) * 10_i128.pow(9 - self.minor_unit)
    }
}

static USD: Currency = Currency::new("USD", 2, 1_000);
static EUR: Currency = Currency::new("EUR", 2, 920);
static GBP: Currency = Currency::new("GBP", 2, 790);
static INR: Currency = Currency::new("INR", 2, 83_000);
static BRL: Currency = Currency::new("BRL", 2, 5_200);
static JPY: Currency = Currency::new("JPY", 0, 150_000);
static KRW: Currency = Currency::new("KRW", 0, 1_350_000);
static KWD: Currency = Currency::new("KWD", 3, 307);
static MXN: Currency = Currency::new("MXN", 2, 17_500);
static CAD: Currency = Currency::new("CAD", 2, 1_360);
static AUD: Currency = Currency::new("AUD", 2, 1_520);
static CHF: Currency = Currency::new("CHF", 2, 880);
static SEK: Currency = Currency::new("SEK", 2, 10_500);
static NOK: Currency = Currency::new("NOK", 2, 10_700);
static DKK: Currency = Currency::new("DKK", 2, 6_850);
static PLN: Currency = Currency::new("PLN", 2, 4_000);
static IDR: Currency = Currency::new("IDR", 2, 16_000_000);
static PHP: Currency = Currency::new("PHP", 2, 57_000);
static TRY: Currency = Currency::new("TRY", 2, 33_000);
static ZAR: Currency = Currency::new("ZAR", 2, 18_200);

#[derive(Debug, PartialEq, Eq)]
pub struct Market {
    pub country: &'static str,
    pub locale: &'static str,
    pub currency: &'static Currency,
}

impl Market {
    pub fn draw(draw: &mut Draw) -> &'static Market {
        let mut left = draw.below(TOTAL_WEIGHT);
        for (market, weight) in &MARKETS {
            if left < *weight {
                return market;
            }
            left -= weight;
        }
        unreachable!("the number drawn is below the sum of the weights")
    }
}

const fn market(country: &'static str, locale: &'static str, currency: &'static Currency) -> Market {
    Market { country, locale, currency }
}

/// Summed once and not for each of millions of accounts.
const TOTAL_WEIGHT: u32 = {
    let (mut sum, mut i) = (0, 0);
    while i < MARKETS.len() {
        sum += MARKETS[i].1;
        i += 1;
    }
    sum
};

pub static MARKETS: [(Market, u32); 68] = [
    (market("US", "en-US", &USD), 1800),
    (market("IN", "hi-IN", &INR), 1200),
    (market("BR", "pt-BR", &BRL), 900),
    (market("MX", "es-MX", &MXN), 620),
    (market("GB", "en-GB", &GBP), 560),
    (market("DE", "de-DE", &EUR), 520),
    (market("ID", "id-ID", &IDR), 460),
    (market("PH", "fil-PH", &PHP), 360),
    (market("FR", "fr-FR", &EUR), 340),
    (market("TR", "tr-TR", &TRY), 300),
    (market("ES", "es-ES", &EUR), 290),
    (market("IT", "it-IT", &EUR), 280),
    (market("JP", "ja-JP", &JPY), 240),
    (market("CA", "en-CA", &CAD), 230),
    (market("AR", "es-AR", &USD), 210),
    (market("CO", "es-CO", &USD), 200),
    (market("AU", "en-AU", &AUD), 180),
    (market("PL", "pl-PL", &PLN), 170),
    (market("NL", "nl-NL", &EUR), 150),
    (market("SE", "sv-SE", &SEK), 150),
    (market("NG", "en-NG", &USD), 140),
    (market("EG", "ar-EG", &USD), 130),
    (market("VN", "vi-VN", &USD), 120),
    (market("TH", "th-TH", &USD), 110),
    (market("KR", "ko-KR", &KRW), 110),
    (market("CL", "es-CL", &USD), 105),
    (market("NO", "nb-NO", &NOK), 100),
    (market("PE", "es-PE", &USD), 95),
    (market("MY", "ms-MY", &USD), 90),
    (market("PK", "ur-PK", &USD), 85),
    (market("SA", "ar-SA", &USD), 80),
    (market("ZA", "en-ZA", &ZAR), 80),
    (market("DK", "da-DK", &DKK), 75),
    (market("BE", "nl-BE", &EUR), 70),
    (market("CH", "de-CH", &CHF), 70),
    (market("AT", "de-AT", &EUR), 65),
    (market("PT", "pt-PT", &EUR), 65),
    (market("FI", "fi-FI", &EUR), 60),
    (market("CZ", "cs-CZ", &EUR), 55),
    (market("RO", "ro-RO", &EUR), 55),
    (market("HU", "hu-HU", &EUR), 50),
    (market("GR", "el-GR", &EUR), 50),
    (market("IE", "en-IE", &EUR), 45),
    (market("UA", "uk-UA", &USD), 45),
    (market("AE", "ar-AE", &USD), 45),
    (market("NZ", "en-NZ", &AUD), 40),
    (market("SG", "en-SG", &USD), 40),
    (market("TW", "zh-TW", &USD), 40),
    (market("HK", "zh-HK", &USD), 35),
    (market("IL", "he-IL", &USD), 35),
    (market("EC", "es-EC", &USD), 35),
    (market("KE", "sw-KE", &USD), 30),
    (market("MA", "fr-MA", &EUR), 30),
    (market("KW", "ar-KW", &KWD), 30),
    (market("BD", "bn-BD", &USD), 30),
    (market("DO", "es-DO", &USD), 25),
    (market("CR", "es-CR", &USD), 25),
    (market("UY", "es-UY", &USD), 20),
    (market("SK", "sk-SK", &EUR), 20),
    (market("HR", "hr-HR", &EUR), 20),
    (market("BG", "bg-BG", &EUR), 20),
    (market("RS", "sr-RS", &EUR), 20),
    (market("LT", "lt-LT", &EUR), 15),
    (market("EE", "et-EE", &EUR), 10),
    (market("IS", "is-IS", &EUR), 10),
    (market("LU", "fr-LU", &EUR), 10),
    (market("XK", "sq-XK", &EUR), 10),
    (market("NA", "en-NA", &ZAR), 10),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_market_is_listed_once_with_a_fitting_locale() {
        let countries: HashSet<&str> = MARKETS.iter().map(|(market, _)| market.country).collect();
        assert_eq!(countries.len(), MARKETS.len());
        for (market, _) in &MARKETS {
            assert!(market.country.bytes().all(|b| b.is_ascii_uppercase()) && market.country.len() == 2);
            assert!(market.locale.ends_with(market.country), "{}", market.locale);
        }
        assert!(["NO", "NA", "XK"].iter().all(|code| countries.contains(code)));
    }

    #[test]
    fn amounts_are_whole_minor_units() {
        assert_eq!(USD.amount(1_099), 10_990_000_000);
        assert_eq!(JPY.amount(1_099), 1_648_000_000_000);
        assert_eq!(KWD.amount(1_099), 3_373_000_000);
    }
}
