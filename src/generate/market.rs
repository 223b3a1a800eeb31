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

pub static USD: Currency = Currency::new("USD", 2, 1_000);
pub static EUR: Currency = Currency::new("EUR", 2, 920);
pub static GBP: Currency = Currency::new("GBP", 2, 790);
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

pub static MARKETS: [(Market, u32); 180] = [
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
    (market("AF", "fa-AF", &USD), 3),
    (market("AL", "sq-AL", &USD), 3),
    (market("DZ", "ar-DZ", &USD), 3),
    (market("AD", "ca-AD", &EUR), 3),
    (market("AO", "pt-AO", &USD), 3),
    (market("AG", "en-AG", &USD), 3),
    (market("AM", "hy-AM", &USD), 3),
    (market("AZ", "az-AZ", &USD), 3),
    (market("BS", "en-BS", &USD), 3),
    (market("BH", "ar-BH", &USD), 3),
    (market("BB", "en-BB", &USD), 3),
    (market("BY", "be-BY", &USD), 3),
    (market("BZ", "en-BZ", &USD), 3),
    (market("BJ", "fr-BJ", &USD), 3),
    (market("BT", "dz-BT", &USD), 3),
    (market("BO", "es-BO", &USD), 3),
    (market("BA", "bs-BA", &USD), 3),
    (market("BW", "en-BW", &USD), 3),
    (market("BN", "ms-BN", &USD), 3),
    (market("BF", "fr-BF", &USD), 3),
    (market("BI", "fr-BI", &USD), 3),
    (market("CV", "pt-CV", &USD), 3),
    (market("KH", "km-KH", &USD), 3),
    (market("CM", "fr-CM", &USD), 3),
    (market("TD", "fr-TD", &USD), 3),
    (market("KM", "fr-KM", &USD), 3),
    (market("CG", "fr-CG", &USD), 3),
    (market("CD", "fr-CD", &USD), 3),
    (market("CI", "fr-CI", &USD), 3),
    (market("CY", "el-CY", &EUR), 3),
    (market("DJ", "fr-DJ", &USD), 3),
    (market("DM", "en-DM", &USD), 3),
    (market("SV", "es-SV", &USD), 3),
    (market("GQ", "es-GQ", &USD), 3),
    (market("ER", "ti-ER", &USD), 3),
    (market("SZ", "en-SZ", &USD), 3),
    (market("ET", "am-ET", &USD), 3),
    (market("FJ", "en-FJ", &USD), 3),
    (market("GA", "fr-GA", &USD), 3),
    (market("GM", "en-GM", &USD), 3),
    (market("GE", "ka-GE", &USD), 3),
    (market("GH", "en-GH", &USD), 3),
    (market("GD", "en-GD", &USD), 3),
    (market("GT", "es-GT", &USD), 3),
    (market("GN", "fr-GN", &USD), 3),
    (market("GW", "pt-GW", &USD), 3),
    (market("GY", "en-GY", &USD), 3),
    (market("HT", "fr-HT", &USD), 3),
    (market("HN", "es-HN", &USD), 3),
    (market("IQ", "ar-IQ", &USD), 3),
    (market("JM", "en-JM", &USD), 3),
    (market("JO", "ar-JO", &USD), 3),
    (market("KZ", "kk-KZ", &USD), 3),
    (market("KI", "en-KI", &USD), 3),
    (market("KG", "ky-KG", &USD), 3),
    (market("LA", "lo-LA", &USD), 3),
    (market("LV", "lv-LV", &EUR), 3),
    (market("LB", "ar-LB", &USD), 3),
    (market("LS", "en-LS", &USD), 3),
    (market("LR", "en-LR", &USD), 3),
    (market("LY", "ar-LY", &USD), 3),
    (market("LI", "de-LI", &USD), 3),
    (market("MO", "zh-MO", &USD), 3),
    (market("MG", "fr-MG", &USD), 3),
    (market("MW", "en-MW", &USD), 3),
    (market("MV", "dv-MV", &USD), 3),
    (market("ML", "fr-ML", &USD), 3),
    (market("MT", "mt-MT", &EUR), 3),
    (market("MH", "en-MH", &USD), 3),
    (market("MR", "ar-MR", &USD), 3),
    (market("MU", "en-MU", &USD), 3),
    (market("FM", "en-FM", &USD), 3),
    (market("MD", "ro-MD", &USD), 3),
    (market("MC", "fr-MC", &EUR), 3),
    (market("MN", "mn-MN", &USD), 3),
    (market("ME", "sr-ME", &EUR), 3),
    (market("MZ", "pt-MZ", &USD), 3),
    (market("NR", "en-NR", &USD), 3),
    (market("NP", "ne-NP", &USD), 3),
    (market("NI", "es-NI", &USD), 3),
    (market("NE", "fr-NE", &USD), 3),
    (market("MK", "mk-MK", &USD), 3),
    (market("OM", "ar-OM", &USD), 3),
    (market("PW", "en-PW", &USD), 3),
    (market("PS", "ar-PS", &USD), 3),
    (market("PA", "es-PA", &USD), 3),
    (market("PG", "en-PG", &USD), 3),
    (market("PY", "es-PY", &USD), 3),
    (market("QA", "ar-QA", &USD), 3),
    (market("RW", "rw-RW", &USD), 3),
    (market("KN", "en-KN", &USD), 3),
    (market("LC", "en-LC", &USD), 3),
    (market("VC", "en-VC", &USD), 3),
    (market("WS", "sm-WS", &USD), 3),
    (market("SM", "it-SM", &EUR), 3),
    (market("ST", "pt-ST", &USD), 3),
    (market("SN", "fr-SN", &USD), 3),
    (market("SC", "fr-SC", &USD), 3),
    (market("SL", "en-SL", &USD), 3),
    (market("SI", "sl-SI", &EUR), 3),
    (market("SB", "en-SB", &USD), 3),
    (market("LK", "si-LK", &USD), 3),
    (market("SR", "nl-SR", &USD), 3),
    (market("TJ", "tg-TJ", &USD), 3),
    (market("TZ", "sw-TZ", &USD), 3),
    (market("TL", "pt-TL", &USD), 3),
    (market("TG", "fr-TG", &USD), 3),
    (market("TO", "to-TO", &USD), 3),
    (market("TT", "en-TT", &USD), 3),
    (market("TN", "ar-TN", &USD), 3),
    (market("TV", "en-TV", &USD), 3),
    (market("UG", "en-UG", &USD), 3),
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
