"""How written things are said: numbers, dates, money, units, addresses and markup, in English and Chinese."""
