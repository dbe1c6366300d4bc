"""Operations, providers, servers and debts."""
